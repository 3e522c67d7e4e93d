# SPDX-License-Identifier: MIT
"""The vfio-user protocol: the numbers and structures of its messages.

Source: QEMU's docs/interop/vfio-user.rst; for VFIO's own names and numbers Linux's include/uapi/linux/vfio.h. All
integers are in the host's byte order, all sizes are bytes.
"""

from __future__ import annotations

import errno
import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

MAJOR, MINOR = 0, 1
"""Version of the protocol that QEMU 11 speaks."""

HEADER = struct.Struct("=HHIII")
"""Message id, command, size of the whole message, flags, errno."""
DMA_MAP = struct.Struct("=IIQQQ")
"""argsz, flags, offset in the descriptor's file, guest address, size."""
DMA_UNMAP = struct.Struct("=IIQQ")
"""argsz, flags, guest address, size."""
DEVICE_INFO = struct.Struct("=IIII")
"""argsz, flags, number of regions, number of interrupt types."""
REGION_INFO = struct.Struct("=IIIIQQ")
"""argsz, flags, index, offset of capabilities, size, offset for mmap."""
IRQ_INFO = struct.Struct("=IIII")
"""argsz, flags, index, count."""
IRQ_SET = struct.Struct("=IIIII")
"""argsz, flags, index, start, count; booleans may follow."""
REGION_ACCESS = struct.Struct("=QII")
"""Offset, region, count; data follows in a write and in the answer to a read."""
DMA_ACCESS = struct.Struct("=QQ")
"""Guest address, count; data follows in a write and in the answer to a read."""

MAX_FDS = 16
"""Number of descriptors that are accepted in one message."""
MAX_TRANSFER = 1 << 20
"""Bytes of data in one message; the protocol's default."""
MAX_MESSAGE = HEADER.size + REGION_ACCESS.size + MAX_TRANSFER
PAGE_SIZE = 4096


class Command(IntEnum):
    """Commands of messages (section "Commands")."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_REGION_IO_FDS = 6
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    DEVICE_RESET = 13
    REGION_WRITE_MULTI = 15
    DEVICE_FEATURE = 16
    MIG_DATA_READ = 17
    MIG_DATA_WRITE = 18


REPLY = 0x1
TYPE = 0xF
NO_REPLY = 0x10
ERROR = 0x20


class MapFlag(IntFlag):
    """Flags of DMA_MAP."""

    READ = 1
    WRITE = 2


UNMAP_ALL = 2
"""Flag of DMA_UNMAP: every mapping (VFIO_DMA_UNMAP_FLAG_ALL); QEMU then gives no address."""

DEVICE_RESETS = 1
DEVICE_IS_PCI = 2
"""Flags of DEVICE_GET_INFO."""

REGION_READABLE = 1
REGION_WRITABLE = 2
"""Flags of DEVICE_GET_REGION_INFO."""


class Region(IntEnum):
    """Indexes of a PCI device's regions (VFIO_PCI_*_REGION_INDEX); 0 to 5 are its BARs."""

    ROM = 6
    CONFIG = 7
    VGA = 8


REGIONS = 9


class Irq(IntEnum):
    """Indexes of a PCI device's interrupt types (VFIO_PCI_*_IRQ_INDEX)."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERROR = 3
    REQUEST = 4


IRQS = 5
IRQ_EVENTFD = 1
IRQ_MASKABLE = 2
IRQ_AUTOMASKED = 4
IRQ_NORESIZE = 8
"""Flags of DEVICE_GET_IRQ_INFO."""


class IrqSet(IntFlag):
    """Flags of DEVICE_SET_IRQS."""

    DATA_NONE = 1
    DATA_BOOL = 2
    DATA_EVENTFD = 4
    MASK = 8
    UNMASK = 16
    TRIGGER = 32


IRQ_DATA = IrqSet.DATA_NONE | IrqSet.DATA_BOOL | IrqSet.DATA_EVENTFD
IRQ_ACTION = IrqSet.MASK | IrqSet.UNMASK | IrqSet.TRIGGER


class Message(NamedTuple):
    """A received message.

    Attributes:
        id: number chosen by the sender, repeated in the answer.
        command: a `Command`, or another number.
        flags: flags of the header.
        error: errno of the header, in an answer with the flag ERROR.
        payload: bytes after the header.
        fds: descriptors of the message. A receiver that keeps one removes it from the list; the rest is closed.
    """

    id: int
    command: int
    flags: int
    error: int
    payload: bytes
    fds: list[int]


class Refused(Exception):
    """A message that is answered with an error.

    Args:
        errno: error number for the answer.
        why: reason for the trace.
    """

    def __init__(self, errno: int, why: str) -> None:
        super().__init__(why)
        self.errno = errno


class StreamBroken(Exception):
    """The stream is not a message, and the begin of the next one is unknown."""


def payload_values(layout: struct.Struct, message: Message) -> tuple[int, ...]:
    """Return the values at the begin of a message's payload.

    Raises:
        Refused: the message is too short.
    """
    if len(message.payload) < layout.size:
        raise Refused(errno.EINVAL, f"{Command(message.command).name} of {len(message.payload)} bytes")
    return layout.unpack_from(message.payload)
