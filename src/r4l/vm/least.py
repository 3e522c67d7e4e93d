# SPDX-License-Identifier: MIT
"""The least memory and the most CPUs of a machine that a kernel can boot on, so that a boot that can only fail is
refused with the figure."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.kernel.images import FLAT
from r4l.vm.machine import Machine

MIB = 1 << 20
HEADER = 0x264
"""Bytes at the beginning of an image that hold the header fields read here."""
RUNNING = 8 * MIB
"""Memory that a kernel needs beside its image, the archive of its initramfs and the unpacked files. Measured in
November 2026 with Debian's 7.3.4 (74 MiB) and an initramfs of 3.4 MiB: 80 MiB end in "System is deadlocked on memory",
88 boot."""
STEP = 8 * MIB
MANY = 64
"""CPUs up to which the usual 256 MiB are enough."""


def kernel_end(image: Path) -> int:
    """Return the physical address, counted from the beginning of memory, where a kernel's image ends; 0 if unknown.

    The formats: ELF (PVH); Image (`kernel.images`); bzImage (Documentation/arch/x86/boot.rst).
    """
    with image.open("rb") as stream:
        head = stream.read(HEADER).ljust(HEADER, b"\0")
        if head.startswith(b"\x7fELF"):
            try:
                segments = [part.header for part in ELFFile(stream).iter_segments("PT_LOAD")]
            except ELFError:
                # Of a damaged file, QEMU tells it.
                return 0
            return max((part.p_paddr + part.p_memsz for part in segments), default=0)
    if head[0x38:0x3C] in FLAT:
        text_offset, size = struct.unpack_from("<QQ", head, 8)
        return int(text_offset + size)
    if head[0x202:0x206] == b"HdrS":
        address, size = struct.unpack_from("<QI", head, 0x258)
        return int(address + size)
    return 0


def for_cpus(cpus: int) -> int:
    """Return the MiB of memory that a machine of so many CPUs needs.

    The kernel has 7 to 8 threads for each CPU, and as many threads at most as have eight times their stacks (16 KiB
    each) in memory (kernel/fork.c, set_max_threads); with 256 MiB, 158 CPUs of 255 came up. Each CPU also takes 0.6 MiB
    for data of its own.
    """
    return 128 + 2 * cpus if cpus > MANY else 0


def memory(machine: Machine) -> tuple[int, int]:
    """Return the MiB of memory below which a machine cannot boot, and an amount with which it does.

    Both are for a kernel without debugging options; (0, 0) for a kernel of an unknown format.
    """
    end = kernel_end(machine.kernel)
    if not end:
        return 0, 0
    # The archive is in memory while it is unpacked.
    needed = end + 2 * machine.initrd.stat().st_size
    return -(-needed // MIB), max(-(-(needed + RUNNING) // STEP) * STEP // MIB, for_cpus(machine.cpus))


def require(machine: Machine, kernel: Kernel) -> None:
    """Refuse a machine that the kernel cannot boot on, or whose CPUs it would not use.

    Raises:
        UsageError: too little memory, or more CPUs than the kernel was built for.
    """
    lowest, enough = memory(machine)
    if machine.memory < lowest:
        raise UsageError(
            f"{machine.memory} MiB of memory are too little: the kernel {kernel.release} and its initramfs "
            f"take {lowest}",
            f"give {enough} MiB or more, on the command line with --memory {enough}",
        )
    most = int(kernel.config.get("CONFIG_NR_CPUS", "0")) if kernel.config.get("CONFIG_SMP") == "y" else 1
    # Without the kernel's configuration, its limit is unknown.
    if kernel.config and 0 < most < machine.cpus:
        option = "CONFIG_NR_CPUS" if kernel.config.get("CONFIG_SMP") == "y" else "CONFIG_SMP is not set"
        raise UsageError(
            f"the kernel {kernel.release} was built for at most {most} CPUs ({option}), not {machine.cpus}",
            f"ask for {most} or fewer",
        )
