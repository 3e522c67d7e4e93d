# SPDX-License-Identifier: MIT
"""Frames of the agent's protocol, version 2. Their layout and the reason for it: rust/agent/src/frame.rs.

The other end is not trusted: a length is checked before any byte is stored, and bytes outside of frames are counted and
skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from secrets import randbits

from r4l.guest.errors import ProtocolError

MAGIC = b"R4L1"
HEADER = struct.Struct("<4sIII")
TRAILER = struct.Struct("<I")
MAX_PAYLOAD = 64 * 1024
VERSION = 2
STDIN_WINDOW = 256 * 1024
"""Bytes of a command's input, or of a file, that may be sent before CREDIT comes."""
OUTPUT_WINDOW = 1 << 20
"""Bytes of a command's output that come before TAKEN was sent, if the command was started with that flag."""
GARBAGE_LIMIT = 1 << 20
"""Bytes outside of any frame after which the other end is taken to be no agent."""


def fresh_session() -> int:
    """Return a random nonce for a session: never 0, and with a trailer that zeros cannot complete.

    The next host completes an unfinished frame with zeros. The trailer's last byte is the nonce's highest byte,
    inverted: with a nonce from 0xff000000 on, zeros would complete the frame and the agent would execute it.
    """
    return 1 + randbits(32) % 0xFEFF_FFFF


class Request(IntEnum):
    """Kinds of frames that the host sends."""

    HELLO = 1
    EXEC = 2
    STDIN = 3
    SIGNAL = 4
    RESIZE = 5
    PUT = 6
    PUT_DATA = 7
    PUT_END = 8
    GET = 9
    PING = 10
    MARK = 11
    WAKE = 12
    TAKEN = 13
    CANCEL = 14


class Reply(IntEnum):
    """Kinds of frames that the agent sends."""

    READY = 0x80
    HELLO = 0x81
    STARTED = 0x82
    STDOUT = 0x83
    STDERR = 0x84
    EXIT = 0x85
    CREDIT = 0x86
    DATA = 0x87
    DONE = 0x88
    ERROR = 0x89
    PONG = 0x8A


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from the agent."""

    session: int
    channel: int
    type: Reply
    payload: bytes


def encode(session: int, channel: int, frame_type: Request, payload: bytes | memoryview = b"") -> bytes:
    """Encode a frame.

    Raises:
        ValueError: the payload has more than `MAX_PAYLOAD` bytes.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD}")
    head = HEADER.pack(MAGIC, session, channel, len(payload) | (frame_type << 24))
    return b"".join((head, payload, TRAILER.pack(session ^ 0xFFFFFFFF)))


def counted(data: bytes) -> bytes:
    """Return a byte string preceded by its length."""
    return struct.pack("<I", len(data)) + data


class Decoder:
    """Decoder of a byte stream into frames; buffers at most one frame and one piece of input."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Add bytes; return the frames that are complete.

        Raises:
            ProtocolError: a frame is of unknown type, or more than `GARBAGE_LIMIT` bytes are outside of frames.
        """
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while len(self._buffer) - position >= HEADER.size:
            magic, session, channel, word = HEADER.unpack_from(self._buffer, position)
            length, frame_type = word & 0xFFFFFF, word >> 24
            if magic != MAGIC or length > MAX_PAYLOAD:
                position = self._hunt(position)
                continue
            end = position + HEADER.size + length
            if len(self._buffer) < end + TRAILER.size:
                break
            if TRAILER.unpack_from(self._buffer, end)[0] != session ^ 0xFFFFFFFF:
                position = self._hunt(position)
                continue
            frames.append(
                Frame(session, channel, self._type(frame_type), bytes(self._buffer[position + HEADER.size : end]))
            )
            self.garbage = 0
            position = end + TRAILER.size
        del self._buffer[:position]
        return frames

    def _type(self, frame_type: int) -> Reply:
        try:
            return Reply(frame_type)
        except ValueError:
            raise ProtocolError(f"a frame of unknown type {frame_type:#x}") from None

    def _hunt(self, position: int) -> int:
        found = self._buffer.find(MAGIC[:1], position + 1)
        following = len(self._buffer) if found < 0 else found
        self.garbage += following - position
        if self.garbage > GARBAGE_LIMIT:
            raise ProtocolError(f"more than {GARBAGE_LIMIT} bytes outside of frames")
        return following
