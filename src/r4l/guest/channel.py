# SPDX-License-Identifier: MIT
"""One conversation with the agent: a command, a transfer, or a request with a single answer."""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import time
from typing import Protocol

from r4l.errors import GuestTimeout, R4LError
from r4l.guest.errors import GuestError, ProtocolError
from r4l.guest.frames import MAX_PAYLOAD, STDIN_WINDOW, Reply, Request

CANCEL_PATIENCE = 2.0
"""Seconds in which the guest must take the end of a conversation that is given up."""


class Carrier(Protocol):
    """The connection that carries a channel's frames; `r4l.guest.link.Link` is one."""

    changed: threading.Condition
    channels: dict[int, Channel]
    failure: R4LError | None

    @property
    def connected(self) -> bool:
        """True while the agent answers."""

    def register(self, channel: Channel) -> int:
        """Number a channel, and give it the frames of that number from then on."""

    def send(
        self, channel: int, frame_type: Request, payload: bytes | memoryview = b"", timeout: float | None = None
    ) -> None:
        """Send a frame."""

    def forget(self, channel: Channel) -> None:
        """Drop the frames of a channel from now on."""


class Channel:
    """One conversation: a command, a transfer, a ping. Subclasses handle its frames in `on_frame`."""

    def __init__(self, link: Carrier) -> None:
        self.link = link
        self.failure: R4LError | None = None
        self.over = False
        self.number = 0
        # Last statement: from here on the reading thread may call `on_frame`, and `Link.fail` may set `failure`.
        link.register(self)

    def on_frame(self, frame_type: Reply, payload: bytes) -> None:
        """Handle a frame. Called on the reading thread with the link's lock held."""
        raise NotImplementedError

    def send(self, frame_type: Request, payload: bytes | memoryview = b"", timeout: float | None = None) -> None:
        """Send a frame of this channel."""
        self.link.send(self.number, frame_type, payload, timeout)

    def finish(self) -> None:
        """End the conversation and free its number. The caller holds the lock."""
        self.over = True
        self.link.channels.pop(self.number, None)
        self.link.changed.notify_all()

    def cut(self, error: R4LError) -> None:
        """Note that no more frames come, for this reason. The caller holds the lock."""
        self.failure = self.failure or error

    def fail(self, error: R4LError) -> None:
        """End the conversation with an error; frames that still arrive for it are dropped."""
        with self.link.changed:
            self.cut(error)
            self.link.forget(self)
            self.link.changed.notify_all()

    def give_up(self) -> None:
        """Close the conversation; if it has not ended, the agent gives it up, too."""
        if not self.over and self.link.connected:
            with contextlib.suppress(R4LError):
                self.send(Request.CANCEL, b"", CANCEL_PATIENCE)
        self.link.forget(self)

    def wait(self, until: float | None) -> bool:
        """Wait for the end of the conversation; return False if the monotonic time `until` came first.

        Raises:
            R4LError: the agent refused, or `Link.fail` or `Link.interrupt` ended the conversation.
        """
        with self.link.changed:
            while True:
                if (trouble := self.trouble()) is not None:
                    raise trouble
                if self.over:
                    return True
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                # A bounded wait, so that Ctrl-C gets through on every Python.
                self.link.changed.wait(min(left, 1.0) if left is not None else 1.0)

    def trouble(self) -> Exception | None:
        """Return the error to raise in the waiting thread, or None. The caller holds the lock."""
        return self.failure


class Outflow(Channel):
    """A conversation in which the host sends data, no more than a window ahead of the agent's CREDIT."""

    def __init__(self, link: Carrier) -> None:
        self._credit = STDIN_WINDOW
        super().__init__(link)

    def take_credit(self, payload: bytes) -> None:
        """Handle a CREDIT frame."""
        self._credit = min(STDIN_WINDOW, self._credit + unpack("<I", payload)[0])
        self.link.changed.notify_all()

    def send_data(self, frame_type: Request, data: bytes | memoryview, timeout: float, late: str) -> bool:
        """Send data in frames; block while there is no credit. Return False if the conversation has ended before.

        Args:
            timeout: seconds without any credit after which sending has failed.
            late: beginning of the error's cause then.

        Raises:
            GuestTimeout: no credit came.
            R4LError: the agent refused, or `Link.fail` or `Link.interrupt` ended the conversation.
        """
        view = memoryview(data)
        while view:
            until = time.monotonic() + timeout
            with self.link.changed:
                while self._credit == 0 and not self.deaf and self.failure is None:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise GuestTimeout(f"{late} for {timeout:g} s")
                    self.link.changed.wait(min(left, 1.0))
                if self.failure is not None:
                    raise self.failure
                if self.deaf:
                    return False
                size = min(len(view), self._credit, MAX_PAYLOAD)
                self._credit -= size
            self.send(frame_type, view[:size])
            view = view[size:]
        return True

    @property
    def deaf(self) -> bool:
        """True once the agent takes no more data."""
        return self.over


class Query(Channel):
    """A conversation with a single answer.

    Args:
        about: subject named in errors, such as a file of the guest.
    """

    def __init__(self, link: Carrier, about: str = "") -> None:
        self.about = about
        self.answer = b""
        super().__init__(link)

    def on_frame(self, frame_type: Reply, payload: bytes) -> None:
        """Take the answer, or the agent's error."""
        if frame_type is Reply.ERROR:
            self.failure = agent_error(payload, self.about)
        self.answer = payload
        self.finish()


def agent_error(payload: bytes, about: str) -> GuestError:
    """Build the error from an ERROR frame."""
    errno = struct.unpack_from("<i", payload)[0] if len(payload) >= 4 else 0
    # Rust's std::io::Error appends the number to its text; the number is in `errno` already.
    said = re.sub(r" \(os error \d+\)$", "", payload[4:].decode("utf-8", "replace"))
    return GuestError(f"in the guest: {about + ': ' if about else ''}{said}", errno)


def unpack(layout: str, payload: bytes) -> tuple[int, ...]:
    """Unpack a payload of exactly this layout.

    Raises:
        ProtocolError: the payload has another length.
    """
    try:
        return struct.unpack(layout, payload)
    except struct.error:
        raise ProtocolError(f"a payload of {len(payload)} bytes where {struct.calcsize(layout)} belong") from None
