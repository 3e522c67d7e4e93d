# SPDX-License-Identifier: MIT
"""Files to and from the guest."""

from __future__ import annotations

import errno
import struct
from io import BufferedIOBase

from r4l.guest.channel import Channel, Outflow, agent_error, unpack
from r4l.guest.errors import GuestError, ProtocolError
from r4l.guest.frames import MAX_PAYLOAD, Reply, Request, counted
from r4l.guest.link import Link


class PutTransfer(Outflow):
    """A file on its way from the host to the guest."""

    def __init__(self, link: Link, path: str) -> None:
        self._path = path
        super().__init__(link)

    def on_frame(self, frame_type: Reply, payload: bytes) -> None:
        """Handle a frame (see `Channel`)."""
        match frame_type:
            case Reply.CREDIT:
                self.take_credit(payload)
            case Reply.DONE:
                self.finish()
            case Reply.ERROR:
                self.failure = agent_error(payload, self._path)
                self.finish()
            case _:
                raise ProtocolError(f"{frame_type.name} for a file")

    def send_all(self, source: BufferedIOBase, mode: int, timeout: float) -> None:
        """Send all of `source`; the caller waits for the end.

        Args:
            mode: permission bits of the file.
            timeout: seconds in which the guest must take some of it.

        Raises:
            GuestTimeout: the guest takes no data.
            GuestError: the guest cannot write the file.
        """
        self.send(Request.PUT, struct.pack("<I", mode) + counted(_name(self._path)), timeout)
        while piece := source.read(MAX_PAYLOAD):
            if not self.send_data(Request.PUT_DATA, piece, timeout, f"the guest took no data for {self._path}"):
                return
        self.send(Request.PUT_END, b"", timeout)


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
                    larger = f"in the guest: {self._path}: larger than the {self._limit} bytes that were allowed"
                    self.fail(GuestError(larger, errno.EFBIG))
                    return
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
