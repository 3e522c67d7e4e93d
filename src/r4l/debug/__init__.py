# SPDX-License-Identifier: MIT
"""`r4l debug`: gdb on a driver in a running kernel.

`functions` translates a Rust path to a place for gdb, `symbols` makes symbols for a stripped kernel, `plan` writes the
input of the part inside gdb (`in_gdb.py`), `session` runs the machine, the modules and gdb together.
"""
