# SPDX-License-Identifier: MIT
"""Options of the kernel's command line for kernels with checkers: kmemleak, KASAN."""

from __future__ import annotations

from r4l.arch import architecture
from r4l.kernel import Kernel
from r4l.vm.snapshot import is_slow

WITHOUT_SHEAVES = "slab_debug=F"
"""Consistency checks of all slab caches, for what they exclude: sheaves, each CPU's array of free objects. A place in
it keeps the pointer to an object that was taken until another is put there, and kmemleak takes that for a reference.
Five objects of 1 KiB that a module had lost were found by the fourth to sixth scan, and without sheaves eight of
eight by the second (mm/slub.c, `calculate_sheaf_capacity`, `struct slab_sheaf`; Linux 7.3.4, 30 November 2026).
Loading and unloading a driver takes as long as with them."""


def words(kernel: Kernel, *, own_hardware: bool) -> tuple[str, ...]:
    """Return the options for a kernel's checkers.

    Args:
        kernel: the kernel.
        own_hardware: the machine has hardware of the caller's own, or takes devices while it runs; such as a root port,
            it may need all that the firmware says.
    """
    kmemleak = (WITHOUT_SHEAVES,) if kernel.config.get("CONFIG_DEBUG_KMEMLEAK") == "y" else ()
    slow = architecture(kernel.arch).slow_words if is_slow(kernel) and not own_hardware else ()
    return (*kmemleak, *slow)
