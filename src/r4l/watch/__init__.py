# SPDX-License-Identifier: MIT
"""`r4l watch`: from a save to a verdict.

`project` determines what a save affects, `saves` reports saves, `warm` keeps a process with all imports done
(`rehearsal`) and forks it, `job` runs in the fork, `loop` connects them.
"""
