# SPDX-License-Identifier: MIT
"""`r4l debug`: gdb on a driver in a running kernel.

`functions` from a path in Rust to a place that gdb can stop at, `symbols` names for a kernel that has none, `plan` what
the part inside gdb (`in_gdb.py`) must know, `session` the machine, the module and gdb together.
"""
