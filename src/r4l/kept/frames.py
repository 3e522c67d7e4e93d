# SPDX-License-Identifier: MIT
"""Messages between a keeper and its clients: frames of a letter, a length and as many bytes."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
from typing import Any

HEADER = struct.Struct("<cI")
PEER = struct.Struct("3i")
"""`struct ucred`: the ids of process, user and group."""
LARGEST = 16 << 20
"""Largest payload of a frame in bytes; longer output is split. JSON is one frame: a command of all the words that a
system takes (2 MiB), or complaints of a kernel, in which each character may be an escape of 12 bytes."""

PIECE = 1 << 20
"""Bytes that are received in one go."""

REQUEST, INPUT, END_OF_INPUT, SIZE = b"r", b"i", b"e", b"w"
"""Types of frames from a client: JSON of its request; standard input and its end; JSON of a terminal's rows and
columns."""
OUTPUT, ERRORS, EARLIER, DONE = b"o", b"x", b"c", b"d"
"""Types of frames from a keeper: standard output and standard error; JSON of the complaints before the request, which
nobody was told of; JSON with the exit code and the error, if any."""


class FrameSocket:
    """A connected socket that carries frames, sent by any thread and received by one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def send(self, frame_type: bytes, payload: bytes = b"") -> None:
        """Send a frame, or several of one type.

        Raises:
            OSError: the other end is closed.
        """
        for begin in range(0, len(payload) or 1, LARGEST):
            piece = payload[begin : begin + LARGEST]
            with self._sending:
                self._sock.sendall(HEADER.pack(frame_type, len(piece)) + piece)

    def send_json(self, frame_type: bytes, data: object) -> None:
        """Send JSON."""
        self.send(frame_type, json.dumps(data).encode())

    def receive(self) -> tuple[bytes, bytes] | None:
        """Wait for a frame and return its type and its bytes; None at the end."""
        head = self._exactly(HEADER.size)
        if head is None:
            return None
        frame_type, length = HEADER.unpack(head)
        payload = self._exactly(length) if length <= LARGEST else None
        return None if payload is None else (frame_type, payload)

    def receive_json(self) -> dict[str, Any] | None:
        """Wait for a frame of JSON and return its content; None at the end."""
        frame = self.receive()
        data: dict[str, Any] | None = json.loads(frame[1]) if frame else None
        return data

    def wait_for_end(self) -> None:
        """Wait until one end closes the connection, whatever has not been received yet."""
        poller = select.poll()
        # POLLHUP is always told, and POLLRDHUP comes before it if the other end only stops sending.
        poller.register(self._sock, select.POLLRDHUP)
        poller.poll()

    @property
    def peer(self) -> int:
        """Process id of the process that listens at the other end (SO_PEERCRED in unix(7)); 0 if it has none here."""
        pid: int = PEER.unpack(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[0]
        return pid

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                piece = self._sock.recv(min(size - len(data), PIECE))
            except OSError:
                return None
            if not piece:
                return None
            data += piece
        return bytes(data)

    def close(self) -> None:
        """End the connection; a `receive` of another thread returns None."""
        # The other end may have closed it.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
