# SPDX-License-Identifier: MIT
"""Both cards side by side: what is done to one is done to the other, and what they answer is compared."""

from __future__ import annotations

import fcntl
import mmap
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.unit.pci.e1000.stand import Card

from r4l.pci import Device

DIFFERENCES = tomllib.loads((Path(__file__).parent / "differences.toml").read_text(encoding="utf-8"))
MEMORY = 16 << 20


def aligned(offset: int, size: int) -> Iterator[tuple[int, int]]:
    """The accesses as which QEMU hands one to a device: aligned, and 8 bytes at most (system/physmem.c,
    memory_access_size)."""
    while size:
        step = min(offset & -offset or 8, 1 << size.bit_length() - 1, 8)
        yield offset, step
        offset, size = offset + step, size - step


def read_in_pieces(device: Device, offset: int, size: int) -> int:
    """A read of BAR 0 by a guest, of any alignment."""
    value = 0
    for place, step in aligned(offset, size):
        value |= device.bar_read(0, place, step) << 8 * (place - offset)
    return value


def write_in_pieces(device: Device, offset: int, value: int, size: int) -> None:
    """A write to BAR 0 by a guest, of any alignment."""
    for place, step in aligned(offset, size):
        device.bar_write(0, place, step, value >> 8 * (place - offset) & (1 << 8 * step) - 1)


class Bench(Protocol):
    """A card, with registers, memory, a line and time."""

    def read(self, offset: int, size: int = 4) -> int:
        """A read of some bytes."""

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """A write of some bytes."""

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of memory."""

    def put(self, address: int, data: bytes) -> None:
        """Change memory."""

    def step(self, seconds: float) -> None:
        """Let time pass."""

    def receive(self, frame: bytes) -> None:
        """Let a frame come from the line."""

    def sent(self) -> list[bytes]:
        """Frames sent since the last call."""


class Ours:
    """The card in Python."""

    def __init__(self) -> None:
        self.card = Card()
        self.card.trace.config = False
        fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, MEMORY)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._memory = mmap.mmap(fd, MEMORY)
        self.card.plugged()
        self.card.dma.map(0, MEMORY, 3, 0, [fd])
        os.close(fd)
        self.card.config_write(4, b"\x06\x00")

    def read(self, offset: int, size: int = 4) -> int:
        """A read of some bytes."""
        return read_in_pieces(self.card, offset, size)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """A write of some bytes."""
        write_in_pieces(self.card, offset, value, size)

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return self._memory[address : address + size]

    def put(self, address: int, data: bytes) -> None:
        """Change memory."""
        self._memory[address : address + len(data)] = data

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self.card.advance(seconds)

    def receive(self, frame: bytes) -> None:
        """Let a frame come from the line."""
        self.card.call(self.card.receive, frame)

    def sent(self) -> list[bytes]:
        """Frames sent since the last call."""
        frames, self.card.sent = self.card.sent, []
        return frames
