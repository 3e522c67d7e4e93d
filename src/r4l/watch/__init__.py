# SPDX-License-Identifier: MIT
"""`r4l watch`: from a save to a verdict.

`project` what is watched and what a save affects, `saves` the saves themselves, `warm` a process that has imported
everything (`rehearsal`), `job` what a forked child of it does, `loop` all of it together.
"""
