# SPDX-License-Identifier: MIT
"""`r4l bench`: how many instructions a driver takes for its work, beside another driver for the same card.

The guest's clock counts instructions (QEMU's -icount, docs/devel/tcg-icount.rst): a nanosecond of the guest is one
instruction, so a figure does not depend on what else the host does. It sees no cache and no cost of MMIO either; the
column `clock` is the check for that.

`workloads` is the table of measurements (workloads.toml), `machine` the guest in which they run, `measure` one
measurement, `compare` the figures of two drivers side by side.
"""
