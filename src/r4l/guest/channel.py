# SPDX-License-Identifier: MIT
"""One conversation with the agent: a command, a transfer, a question of one answer."""

from __future__ import annotations

import re
import struct
import time
from typing import TYPE_CHECKING

from r4l.errors import R4LError
from r4l.guest.errors import GuestError, ProtocolError
from r4l.guest.frames import Reply, Request

if TYPE_CHECKING:
    from r4l.guest.link import Link


class Channel:
    """One conversation: a command, a transfer, a ping. Subclasses say what its frames mean in `on_frame`."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.failure: R4LError | None = None
        self.over = False
        self.number = 0
        # Last: from here on the reading thread may give it frames, and `Link.fail` its failure.
        link.register(self)

    def on_frame(self, kind: Reply, payload: bytes) -> None:
        """Called with the link's lock held, on the reading thread, for each frame."""
        raise NotImplementedError

    def send(self, kind: Request, payload: bytes | memoryview = b"", timeout: float | None = None) -> None:
        """Send a frame of this channel."""
        self.link.send(self.number, kind, payload, timeout)

    def finish(self) -> None:
        """The conversation is over; its number is free. Lock held."""
        self.over = True
        self.link.channels.pop(self.number, None)
        self.link.changed.notify_all()

    def wait(self, until: float | None) -> bool:
        """Wait for the end or for the monotonic time `until`. False when that came first.

        Raises:
            R4LError: whatever ended the conversation from outside, or the agent's own refusal.
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
        """What whoever waits has to know of. Lock held."""
        return self.failure


class Question(Channel):
    """A conversation of one answer.

    Args:
        about: what an error is about, such as a file of the guest's.
    """

    def __init__(self, link: Link, about: str = "") -> None:
        self.about = about
        self.answer = b""
        super().__init__(link)

    def on_frame(self, kind: Reply, payload: bytes) -> None:
        if kind is Reply.ERROR:
            self.failure = agent_error(payload, self.about)
        self.answer = payload
        self.finish()


def agent_error(payload: bytes, about: str) -> GuestError:
    """The error that an ERROR frame tells of."""
    errno = struct.unpack_from("<i", payload)[0] if len(payload) >= 4 else 0
    # Rust's std::io::Error puts the number behind the words; it is in `errno`.
    said = re.sub(r" \(os error \d+\)$", "", payload[4:].decode("utf-8", "replace"))
    return GuestError(f"in the guest: {about + ': ' if about else ''}{said}", errno)


def unpack(layout: str, payload: bytes) -> tuple[int, ...]:
    """Unpack a payload of exactly this layout, or say that it is none."""
    try:
        return struct.unpack(layout, payload)
    except struct.error:
        raise ProtocolError(f"a payload of {len(payload)} bytes where {struct.calcsize(layout)} belong") from None
