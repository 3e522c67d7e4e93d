# SPDX-License-Identifier: MIT
"""Files to and from the guest."""

from __future__ import annotations

import struct
from io import BufferedIOBase

from r4l.guest.channel import Channel, Query, agent_error, unpack
from r4l.guest.errors import ProtocolError
from r4l.guest.frames import MAX_PAYLOAD, Reply, Request, counted
from r4l.guest.link import Link


def put(link: Link, source: BufferedIOBase, path: str, mode: int, timeout: float) -> Query:
    """Send all of `source` to the file `path`; return the conversation, whose end the caller waits for."""
    conversation = Query(link, path)
    conversation.send(Request.PUT, struct.pack("<I", mode) + counted(_name(path)), timeout)
    while piece := source.read(MAX_PAYLOAD):
        if conversation.failure is not None:
            break
        conversation.send(Request.PUT_DATA, piece, timeout)
    conversation.send(Request.PUT_END, b"", timeout)
    return conversation


def _name(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


class Get(Channel):
    """A file on its way from the guest to the host."""

    def __init__(self, link: Link, path: str, out: BufferedIOBase, limit: int) -> None:
        self._path = path
        self._out = out
        self._limit = limit
        self.received = 0
        self.mode = 0
        super().__init__(link)
        self.send(Request.GET, counted(_name(path)))

    def on_frame(self, frame_type: Reply, payload: bytes) -> None:
        """Handle a frame (see `Channel`)."""
        match frame_type:
            case Reply.DATA:
                self.received += len(payload)
                if self.received > self._limit:
                    raise ProtocolError(f"a file larger than the {self._limit} bytes that were allowed")
                self._out.write(payload)
            case Reply.DONE:
                self.mode, size = unpack("<IQ", payload)
                if size != self.received:
                    raise ProtocolError(f"{self.received} bytes for a file of {size} bytes")
                self.finish()
            case Reply.ERROR:
                self.failure = agent_error(payload, self._path)
                self.finish()
            case _:
                raise ProtocolError(f"{frame_type.name} for a file")
