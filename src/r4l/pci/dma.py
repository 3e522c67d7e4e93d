# SPDX-License-Identifier: MIT
"""The guest's memory from the device's side: the mappings of QEMU, and reads and writes through them.

If QEMU passes a descriptor, its memory is mapped here too (mmap); otherwise bytes travel in messages. Source:
vfio-user, "VFIO_USER_DMA_MAP" to "VFIO_USER_DMA_WRITE".
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from r4l.pci.buffers import Buffer, as_bytes
from r4l.pci.declared import shown
from r4l.pci.protocol import MAX_TRANSFER, PAGE_SIZE, MapFlag, Refused
from r4l.pci.purposes import Purposes

if TYPE_CHECKING:
    from r4l.pci.device import Device

MOST_MAPPINGS = 4096
END = 1 << 64
TRACED = 64
"""Number of bytes of a transfer that the trace keeps."""
UNSHRINKABLE = fcntl.F_SEAL_SHRINK
"""Seal of a memfd that cannot shrink. An access to memory mapped beyond a file's end kills the process (SIGBUS)."""


class DmaFault(Exception):
    """The device cannot access the memory: on a real bus, such a request ends in a master abort.

    One that a model does not catch ends its method, sets Received Master Abort in Status, and is recorded in the trace.
    It is a fault of the driver, not of the model.
    """


@dataclass
class Mapping:
    """Memory of the guest that the device may use.

    Attributes:
        address, size: range in the guest, in bytes.
        flags: allowed kinds of access.
        memory: the memory, mapped here; None: reached by messages.
        end: first address after the mapping.
        writable: True if the device may write.
    """

    address: int
    size: int
    flags: MapFlag
    memory: mmap.mmap | None

    def __post_init__(self) -> None:
        self.end = self.address + self.size
        self.writable = bool(self.flags & MapFlag.WRITE)


class Messages(Protocol):
    """Access to memory that is not mapped here."""

    def dma_read(self, address: int, count: int) -> bytes:
        """Return bytes of the guest's memory.

        Raises:
            DmaFault: QEMU refuses the bytes, or cannot send them now.
        """

    def dma_write(self, address: int, data: bytes) -> None:
        """Change bytes of the guest's memory.

        Raises:
            DmaFault: QEMU refuses the write, or cannot do it now.
        """


class Dma:
    """A model's access to the guest's memory: `self.dma.read(address, 64)`.

    Attributes:
        messages: access to memory that is not mapped; None without a connection.
        named: True to record the purpose of each transfer (`r4l.pci.purposes`); with a fault in force it always is.
    """

    def __init__(self, device: Device) -> None:
        self.messages: Messages | None = None
        self.named = False
        self._device = device
        self._starts: list[int] = []
        self._mappings: list[Mapping] = []

    # -- called by models ---------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of the guest's memory.

        Args:
            address: address in the guest.
            size: number of bytes.

        Raises:
            DmaFault: bus mastering is off, the device is not in D0, or it may not read some of the bytes.
        """
        device = self._device
        with device.held:
            parts = self._parts(address, size, writes=False)
            data = self._get(*parts[0]) if len(parts) == 1 else b"".join(self._get(*_still(*part)) for part in parts)
            place = self._purposes.of(address, size) if self.named or device.faults.armed else ""
            if device.faults.armed:
                data = device.faults.dma_read(place, data)
            device.trace.add("dma-read", None, -1, address, size, data[:TRACED], place)
        return data

    def write(self, address: int, data: Buffer) -> None:
        """Change bytes of the guest's memory, in the order of their addresses.

        Args:
            address: address in the guest.
            data: bytes to write: `bytes`, a `bytearray` or a `memoryview`.

        Raises:
            TypeError: the data are no bytes.
            DmaFault: bus mastering is off, or the device may not write some of the bytes; none was written then. Or the
                guest has unmapped some while the others, which are not mapped here, went by messages.
        """
        device = self._device
        if type(data) is not bytes:
            data = as_bytes(data, "DMA writes bytes", "`dma.pack` writes values by a layout")
        with device.held:
            place = self._purposes.of(address, 0) if self.named or device.faults.armed else ""
            if not device.faults.armed:
                self._write(address, data)
                device.trace.add("dma-write", None, -1, address, len(data), data[:TRACED], place)
                return
            self._parts(address, len(data), writes=True)
            device.trace.add("dma-write", None, -1, address, len(data), data[:TRACED], place)
            device.faults.dma_write(place, address, data, self._write)

    def _write(self, address: int, data: bytes) -> None:
        parts = self._parts(address, len(data), writes=True)
        if len(parts) == 1:
            self._put(parts[0][0], parts[0][1], data)
            return
        done = 0
        for mapping, at, count in parts:
            self._put(*_still(mapping, at, count)[:2], data[done : done + count])
            done += count

    def peek(self, address: int, size: int) -> bytes:
        """Return bytes of the guest's memory for an observer: without an entry in the trace, faults or bus mastering.

        Args:
            address: address in the guest.
            size: bytes.

        Returns:
            The bytes; none if some of them are not mapped here.
        """
        place = bisect_right(self._starts, address) - 1
        mapping = self._mappings[place] if place >= 0 else None
        if mapping is None or mapping.memory is None or address + size > mapping.end:
            return b""
        at = address - mapping.address
        return mapping.memory[at : at + size]

    def unpack(self, layout: str, address: int) -> tuple[Any, ...]:
        """Return values in the guest's memory, by a layout of `struct` such as `"<QHBBH"`."""
        return struct.unpack(layout, self.read(address, struct.calcsize(layout)))

    def pack(self, layout: str, address: int, *values: Any) -> None:
        """Write values, by a layout of `struct`."""
        self.write(address, struct.pack(layout, *values))

    def gather(self, parts: Iterable[tuple[int, int]]) -> bytes:
        """Return the bytes of a scatter list: (address, size) of each part."""
        return b"".join(self.read(address, size) for address, size in parts)

    def scatter(self, parts: Iterable[tuple[int, int]], data: Buffer) -> int:
        """Fill a scatter list's parts one by one; return the number of bytes that found room."""
        data = as_bytes(data, "DMA writes bytes", "`bytes` makes them")
        done = 0
        for address, size in parts:
            if done == len(data):
                break
            piece = data[done : done + size]
            self.write(address, piece)
            done += len(piece)
        return done

    # -- implementation -----------------------------------------------------------------------------------------

    def _parts(self, address: int, size: int, *, writes: bool) -> list[tuple[Mapping, int, int]]:
        """Return the mappings that contain some bytes, each with the offset in it and the number of bytes."""
        # One comparison for right arguments; this is done for each transfer.
        if type(address) is not int or type(size) is not int or size < 0:
            _require_numbers(address, size)
        if not self._device.present:
            raise DmaFault(f"DMA at {address:#x} by a device that is gone")
        if not self._device.may_master:
            raise DmaFault(f"DMA at {address:#x}, and {self._device._no_master}")
        parts = []
        while size > 0:
            place = bisect_right(self._starts, address) - 1
            mapping = self._mappings[place] if place >= 0 else None
            if mapping is None or address >= mapping.end:
                raise DmaFault(f"DMA at {address:#x}, where the guest has no memory")
            if writes and not mapping.writable:
                raise DmaFault(f"DMA that writes at {address:#x}, which is read-only")
            count = mapping.end - address
            count = size if size < count else count
            parts.append((mapping, address - mapping.address, count))
            address, size = address + count, size - count
        return parts

    def _get(self, mapping: Mapping, at: int, count: int) -> bytes:
        if mapping.memory is not None:
            return mapping.memory[at : at + count]
        messages = self._reachable()
        pieces = range(at, at + count, MAX_TRANSFER)
        return b"".join(
            messages.dma_read(mapping.address + place, min(MAX_TRANSFER, at + count - place)) for place in pieces
        )

    def _put(self, mapping: Mapping, at: int, data: bytes) -> None:
        if mapping.memory is not None:
            mapping.memory[at : at + len(data)] = data
            return
        messages = self._reachable()
        for place in range(0, len(data), MAX_TRANSFER):
            messages.dma_write(mapping.address + at + place, data[place : place + MAX_TRANSFER])

    def _reachable(self) -> Messages:
        if self.messages is None:
            raise DmaFault("DMA, and the device is not plugged in")
        return self.messages

    @cached_property
    def _purposes(self) -> Purposes:
        # At the first transfer that is named: a model may set its rings when it is made.
        return Purposes(self._device)

    def map(self, address: int, size: int, flags: int, offset: int, fds: list[int]) -> None:
        """Handle DMA_MAP.

        Args:
            address: address in the guest.
            size: bytes.
            flags: `MapFlag`s.
            offset: place of the memory in the descriptor's file.
            fds: at most one descriptor, whose file's bytes from `offset` on are the memory. The caller closes it.

        Raises:
            Refused: a mapping exists there, or the bounds are invalid.
        """
        if size <= 0 or address + size > END or (address | size) % PAGE_SIZE or not flags & MapFlag.READ:
            raise Refused(errno.EINVAL, f"a mapping of {size:#x} bytes at {address:#x} with flags {flags:#x}")
        if len(self._mappings) >= MOST_MAPPINGS:
            raise Refused(errno.ENOSPC, f"more than {MOST_MAPPINGS} mappings")
        place = bisect_right(self._starts, address)
        before = self._mappings[place - 1] if place else None
        after = self._mappings[place] if place < len(self._mappings) else None
        if (before and before.end > address) or (after and after.address < address + size):
            raise Refused(errno.EEXIST, f"a mapping over another at {address:#x}")
        kinds = MapFlag(flags & (MapFlag.READ | MapFlag.WRITE))
        memory = _mapped(fds[0], size, offset, kinds) if fds else None
        self._starts.insert(place, address)
        self._mappings.insert(place, Mapping(address, size, kinds, memory))

    def unmap(self, address: int, size: int) -> None:
        """Handle DMA_UNMAP: the memory is not accessed any more.

        Args:
            address: address in the guest.
            size: bytes.

        Raises:
            Refused: there is no such mapping.
        """
        place = bisect_right(self._starts, address) - 1
        if place < 0 or (self._mappings[place].address, self._mappings[place].size) != (address, size):
            raise Refused(errno.ENOENT, f"no mapping of {size:#x} bytes at {address:#x}")
        self._drop(self._mappings.pop(place))
        del self._starts[place]

    def unmap_all(self) -> None:
        """Forget all mappings."""
        for mapping in self._mappings:
            self._drop(mapping)
        self._mappings.clear()
        self._starts.clear()

    @staticmethod
    def _drop(mapping: Mapping) -> None:
        # There is no other view of it: models get copies.
        if mapping.memory is not None:
            mapping.memory.close()

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """Mappings of the guest's memory, by address."""
        return tuple(self._mappings)


def _require_numbers(address: object, size: object) -> None:
    """Refuse what is no address and no number of bytes.

    Raises:
        TypeError: one is no integer.
        ValueError: the number is negative.
    """
    if not isinstance(address, int) or not isinstance(size, int):
        raise TypeError(f"DMA takes an address and a number of bytes, not {shown(address)} and {shown(size)}")
    if size < 0:
        raise ValueError(f"DMA at {address:#x} of {size} bytes: give 0 bytes or more")


def _still(mapping: Mapping, at: int, count: int) -> tuple[Mapping, int, int]:
    """Return a part of a transfer, whose memory the guest has not unmapped while an earlier part went by messages.

    Raises:
        DmaFault: it has.
    """
    if mapping.memory is not None and mapping.memory.closed:
        raise DmaFault(f"DMA at {mapping.address + at:#x}, which the guest has unmapped meanwhile")
    return mapping, at, count


def _mapped(fd: int, size: int, offset: int, flags: MapFlag) -> mmap.mmap | None:
    """Return a descriptor's memory, mapped; None if its file could shrink.

    Raises:
        Refused: the file has no such bytes, or the kernel does not map them.
    """
    try:
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & UNSHRINKABLE
    except OSError:
        sealed = 0
    if not sealed:
        return None
    if offset % mmap.ALLOCATIONGRANULARITY or offset + size > os.fstat(fd).st_size:
        raise Refused(errno.EINVAL, f"{size:#x} bytes at {offset:#x} of a file that has fewer")
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if flags & MapFlag.WRITE else 0)
    try:
        return mmap.mmap(fd, size, mmap.MAP_SHARED, protection, offset=offset)
    except (OSError, ValueError, OverflowError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        raise Refused(number, f"memory cannot be mapped: {error}") from error
