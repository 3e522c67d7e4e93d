# SPDX-License-Identifier: MIT
"""Frames of the agent's protocol, version 1. Their layout and the reason for it: rust/agent/src/frame.rs.

Nothing here trusts the other end: a length is checked before a byte of it is kept, and what is no frame is
counted and skipped.
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
VERSION = 1
STDIN_WINDOW = 256 * 1024
GARBAGE_LIMIT = 1 << 20
"""Bytes outside of any frame after which the other end is no agent of ours."""


def fresh_session() -> int:
    """A nonce for a session: not 0, and of a trailer that zeros cannot complete.

    The next host fills up a frame of which bytes are missing with zeros, and the trailer's last byte is one of
    them. It is the nonce's highest byte, flipped: a nonce from 0xff000000 on would have its half frames carried out.
    """
    return 1 + randbits(32) % 0xFEFF_FFFF


class Request(IntEnum):
    """What the host asks for."""

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


class Reply(IntEnum):
    """What the agent says."""

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
    """One frame of the agent's."""

    session: int
    channel: int
    kind: Reply
    payload: bytes


def encode(session: int, channel: int, kind: Request, payload: bytes | memoryview = b"") -> bytes:
    """The bytes of a frame. Raises ValueError for a payload over `MAX_PAYLOAD` bytes."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD}")
    head = HEADER.pack(MAGIC, session, channel, len(payload) | (kind << 24))
    return b"".join((head, payload, TRAILER.pack(session ^ 0xFFFFFFFF)))


def counted(data: bytes) -> bytes:
    """A string of bytes with its length in front."""
    return struct.pack("<I", len(data)) + data


class Decoder:
    """Turns a stream of bytes into frames; holds at most one frame and one piece fed to it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes; returns the frames that are whole now.

        Raises:
            ProtocolError: a frame of a kind that no agent sends, or more than `GARBAGE_LIMIT` bytes that are no frame.
        """
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while len(self._buffer) - position >= HEADER.size:
            magic, session, channel, word = HEADER.unpack_from(self._buffer, position)
            length, kind = word & 0xFFFFFF, word >> 24
            if magic != MAGIC or length > MAX_PAYLOAD:
                position = self._hunt(position)
                continue
            end = position + HEADER.size + length
            if len(self._buffer) < end + TRAILER.size:
                break
            if TRAILER.unpack_from(self._buffer, end)[0] != session ^ 0xFFFFFFFF:
                position = self._hunt(position)
                continue
            frames.append(Frame(session, channel, self._kind(kind), bytes(self._buffer[position + HEADER.size : end])))
            self.garbage = 0
            position = end + TRAILER.size
        del self._buffer[:position]
        return frames

    def _kind(self, kind: int) -> Reply:
        try:
            return Reply(kind)
        except ValueError:
            raise ProtocolError(f"a frame of unknown kind {kind:#x}") from None

    def _hunt(self, position: int) -> int:
        found = self._buffer.find(MAGIC[:1], position + 1)
        following = len(self._buffer) if found < 0 else found
        self.garbage += following - position
        if self.garbage > GARBAGE_LIMIT:
            raise ProtocolError(f"more than {GARBAGE_LIMIT} bytes that are no frame")
        return following
