# SPDX-License-Identifier: MIT
"""Messages over a stream socket, with their descriptors."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import threading

from r4l.pci.protocol import ERROR, HEADER, MAX_FDS, MAX_MESSAGE, REPLY, Message, StreamBroken

CHUNK = 1 << 16
HEAD = HEADER.size
ANCILLARY = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
SIZE = struct.Struct("=I")
"""Size of the message, at offset 4 of the header."""
OVERSIZED = -1
"""Command of a message longer than the limit, whose payload was skipped."""


class MessageSocket:
    """One connection. A single thread receives; any may send.

    The kernel returns descriptors with the chunk whose last bytes they were sent with (unix(7): a read does not go past
    them), so they belong to the message that holds the last byte of the chunk.

    Args:
        sock: connected socket, closed with the channel.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._chunk = memoryview(bytearray(CHUNK))
        self._fds: list[tuple[int, list[int]]] = []
        self._sending = threading.Lock()

    def receive(self) -> Message | None:
        """Wait for the next message; return None when the other end has closed the connection.

        Raises:
            StreamBroken: the bytes received are not a message.
            OSError: the connection broke.
        """
        buffer, chunk = self._buffer, self._chunk
        while True:
            if len(buffer) >= HEAD:
                number, command, size, flags, error = HEADER.unpack_from(buffer)
                if size < HEAD:
                    raise StreamBroken(f"a message of {size} bytes is shorter than its header")
                if size > MAX_MESSAGE:
                    return self._skip(number, size, flags)
                if len(buffer) >= size:
                    payload = bytes(buffer[HEAD:size])
                    del buffer[:size]
                    return Message(number, command, flags, error, payload, self._taken(size) if self._fds else [])
            count = self._read()
            if count == 0:
                return None
            if count > 0:
                number, command, _, flags, error = HEADER.unpack_from(chunk)
                return Message(number, command, flags, error, bytes(chunk[HEAD:count]), [])

    def _read(self) -> int:
        """Receive a chunk and append it to the buffer.

        A chunk that is exactly one message without descriptors, such as a CPU's access, is left where it is instead.

        Returns:
            0 at the end of the connection, the size of a message that is in the chunk, -1 otherwise.
        """
        count, ancillary, _, _ = self._socket.recvmsg_into([self._chunk], ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        if not ancillary and not self._buffer and count >= HEAD and SIZE.unpack_from(self._chunk, 4)[0] == count:
            return count
        if ancillary:
            fds = array.array("i")
            for level, cmsg_type, data in ancillary:
                if (level, cmsg_type) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            self._fds.append((len(self._buffer) + count - 1, list(fds)))
        self._buffer += self._chunk[:count]
        return -1 if count else 0

    def _taken(self, size: int) -> list[int]:
        """Return the descriptors of the message in the buffer's first `size` bytes, which were removed from it."""
        mine = [fd for place, fds in self._fds if place < size for fd in fds]
        self._fds = [(place - size, fds) for place, fds in self._fds if place >= size]
        return mine

    def _skip(self, number: int, size: int, flags: int) -> Message | None:
        """Read past a message that is too long, and drop its payload."""
        left = size
        while True:
            have = min(left, len(self._buffer))
            del self._buffer[:have]
            close(self._taken(have))
            left -= have
            if not left:
                return Message(number, OVERSIZED, flags, 0, b"", [])
            count = self._read()
            if count == 0:
                return None
            if count > 0:
                self._buffer += self._chunk[:count]

    def send(self, number: int, command: int, payload: bytes = b"", *, flags: int = REPLY, error: int = 0) -> None:
        """Send a message, by default an answer.

        Raises:
            OSError: the connection broke.
        """
        # In one call: QEMU expects a complete header (hw/vfio-user/proxy.c, "short read of header").
        data = HEADER.pack(number, command, HEAD + len(payload), flags, error) + payload
        with self._sending:
            self._socket.sendall(data)

    def refuse(self, message: Message, errno: int) -> None:
        """Answer a message with an error."""
        self.send(message.id, message.command & 0xFFFF, flags=REPLY | ERROR, error=errno)

    def shut(self) -> None:
        """End the connection. A thread that waits in `receive` gets None."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket and the descriptors that no message has claimed."""
        self.shut()
        self._socket.close()
        for _, fds in self._fds:
            close(fds)
        self._fds = []


def close(fds: list[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
