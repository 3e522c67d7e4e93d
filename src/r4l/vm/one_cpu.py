# SPDX-License-Identifier: MIT
"""Emulated machines with one processor, whatever number their makers ask for.

QEMU's fault with breakpoints (`r4l.vm.blame.stray_breakpoint`) needs a second processor: a machine with one cannot have
it, so a complaint there is the guest's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_blocks = 0
"""Number of open blocks. Of the process, since a test can make machines in threads of its own."""


@contextmanager
def one_cpu() -> Iterator[None]:
    """Give all emulated machines one processor that this process assembles in the block."""
    global _blocks
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1


def number_of(cpus: int, accel: str) -> int:
    """Return the number of a machine's processors: the wanted one, or 1 in a block of `one_cpu`.

    Args:
        cpus: wanted number.
        accel: accelerator; real processors do not have the fault.
    """
    return 1 if _blocks and accel == "tcg" else cpus
