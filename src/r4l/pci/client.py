# SPDX-License-Identifier: MIT
"""The other end of vfio-user, as QEMU speaks it, for tests without one; `r4l.pci.testing` has its uses."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from r4l.pci.protocol import (
    DMA_MAP,
    DMA_UNMAP,
    ERROR,
    HEADER,
    IRQ_SET,
    NO_REPLY,
    REGION_ACCESS,
    REPLY,
    Command,
    IrqSet,
    MapFlag,
    Region,
)


class Refusal(Exception):
    """The server has answered with an error.

    Attributes:
        errno: number of the error.
    """

    def __init__(self, errno: int) -> None:
        super().__init__(os.strerror(errno))
        self.errno = errno


class VfioClient:
    """A connection to a server.

    Args:
        path: the server's socket.
    """

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        # With a time limit, connecting fails at once where others wait for the server already (unix(7), EAGAIN).
        self.socket.connect(str(path))
        self.socket.settimeout(20)
        self._next = 0

    def agree(self) -> dict[str, int]:
        """Agree on the version; return the server's capabilities (VERSION)."""
        said = self.call(Command.VERSION, struct.pack("=HH", 0, 1) + b'{"capabilities":{}}\0')
        able: dict[str, int] = json.loads(said[4:].rstrip(b"\0"))["capabilities"]
        return able

    def send(
        self, command: int, payload: bytes = b"", *, flags: int = 0, fds: Sequence[int] = (), error: int = 0
    ) -> int:
        """Send a message; return its number."""
        self._next = self._next + 1 & 0xFFFF
        data = HEADER.pack(self._next, command, HEADER.size + len(payload), flags, error) + payload
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], extra)
        return self._next

    def receive(self) -> tuple[int, int, int, int, bytes]:
        """Return the next message: number, command, flags, error, payload."""
        head = self._exactly(HEADER.size)
        number, command, size, flags, error = HEADER.unpack(head)
        return number, command, flags, error, self._exactly(size - HEADER.size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError("the server has closed the connection")
            data += piece
        return data

    def call(self, command: int, payload: bytes = b"", fds: Sequence[int] = ()) -> bytes:
        """Send a request, and return its answer.

        Raises:
            Refusal: the answer is an error.
        """
        asked = self.send(command, payload, fds=fds)
        number, _, flags, error, answer = self.receive()
        assert (number, flags & 0xF) == (asked, REPLY)
        if flags & ERROR:
            raise Refusal(error)
        return answer

    def read(self, offset: int, size: int = 4, region: int = 0) -> int:
        """Return bytes of a region as a little-endian number (REGION_READ)."""
        answer = self.call(Command.REGION_READ, REGION_ACCESS.pack(offset, region, size))
        return int.from_bytes(answer[REGION_ACCESS.size :], "little")

    def write(self, offset: int, value: int, size: int = 4, region: int = 0, *, posted: bool = False) -> None:
        """Change bytes of a region (REGION_WRITE); a posted write has no answer."""
        payload = REGION_ACCESS.pack(offset, region, size) + value.to_bytes(size, "little")
        if posted:
            self.send(Command.REGION_WRITE, payload, flags=NO_REPLY)
        else:
            self.call(Command.REGION_WRITE, payload)

    def config(self, offset: int, size: int = 4) -> int:
        """Return a value in the configuration space."""
        return self.read(offset, size, Region.CONFIG)

    def set_config(self, offset: int, value: int, size: int = 2) -> None:
        """Change a value in the configuration space."""
        self.write(offset, value, size, Region.CONFIG)

    def master(self) -> None:
        """Enable bus mastering, as pci_set_master does."""
        self.set_config(4, self.config(4, 2) | 4)

    def irq(
        self, index: int, fds: Sequence[int] = (), *, start: int = 0, flags: int | None = None, count: int = -1
    ) -> None:
        """Change interrupts (DEVICE_SET_IRQS): by default, wire eventfds."""
        said = IrqSet.DATA_EVENTFD | IrqSet.TRIGGER if flags is None else flags
        count = len(fds) if count < 0 else count
        self.call(Command.DEVICE_SET_IRQS, IRQ_SET.pack(IRQ_SET.size, said, index, start, count), fds)

    def map(self, address: int, size: int, fd: int | None = None, *, offset: int = 0, flags: int = 3) -> None:
        """Give the device memory (DMA_MAP): that of a descriptor, or such as is reached by messages."""
        payload = DMA_MAP.pack(DMA_MAP.size, flags, offset, address, size)
        self.call(Command.DMA_MAP, payload, [] if fd is None else [fd])

    def unmap(self, address: int, size: int) -> None:
        """Take memory from the device (DMA_UNMAP)."""
        self.call(Command.DMA_UNMAP, DMA_UNMAP.pack(DMA_UNMAP.size, 0, address, size))

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


READ_WRITE = MapFlag.READ | MapFlag.WRITE


def eventfd() -> int:
    """Return a new eventfd that never blocks."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def rung(fd: int) -> int:
    """Return the number of writes to an eventfd since the last look."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0
