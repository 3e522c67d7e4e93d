# SPDX-License-Identifier: MIT
"""The connection to an agent: one socket, one thread that reads it, any number of channels.

Whoever waits for the guest waits on a `Channel`. A channel ends by its own frames, or because something
outside says that waiting is pointless (`Link.fail` for good, `Link.interrupt` for what waits now): that is how a
kernel panic seen on the console ends a wait at once, and not after its time-out.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from r4l.errors import GuestTimeout, R4LError
from r4l.guest.channel import Channel, unpack
from r4l.guest.errors import GuestGone, ProtocolError
from r4l.guest.frames import (
    HEADER,
    MAX_PAYLOAD,
    TRAILER,
    VERSION,
    Decoder,
    Frame,
    Reply,
    Request,
    encode,
    fresh_session,
)

HELLO_INTERVAL = 0.5
RECONNECT = 5.0
VERDICT_PATIENCE = 5.0


class Link:
    """See the module. Takes over `sock`, a connected stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self.changed = threading.Condition()
        self._sending = threading.Lock()
        self.channels: dict[int, Channel] = {}
        self._ignored: deque[int] = deque(maxlen=64)
        self._next = 1
        self._session = fresh_session()
        self._connected = False
        self._hello_due = False
        self.agent_pid = 0
        self.failure: R4LError | None = None
        self._thread = threading.Thread(target=self._read, name="r4l-agent-reader", daemon=True)
        self._thread.start()

    def connect(self, timeout: float, *, stale: bool = False, watch: Callable[[], None] | None = None) -> bool:
        """Find the agent: say HELLO until it answers. False when it has not within `timeout` seconds.

        Args:
            stale: an agent that knows another host may be at the other end (a restored snapshot). It may be in the
                middle of a frame, which is first filled up.
            watch: called a few times a second while waiting; may raise to end it.

        Raises:
            R4LError: what `fail` was called with, or `watch` raised.
        """
        if stale:
            self._send_raw(bytes(HEADER.size + MAX_PAYLOAD + TRAILER.size), timeout)
        until = time.monotonic() + timeout
        said = 0.0
        while True:
            with self.changed:
                if self.failure is not None:
                    raise self.failure
                if self._connected:
                    return True
                now = time.monotonic()
                due = self._hello_due or now - said >= HELLO_INTERVAL
                self._hello_due = False
                if not due:
                    self.changed.wait(min(until - now, HELLO_INTERVAL / 2))
            if time.monotonic() >= until:
                return False
            if due:
                said = now
                self._hello()
            if watch:
                watch()

    def _hello(self) -> None:
        # While nobody reads at the other end, HELLOs would pile up in the socket: one that waits is enough.
        with contextlib.suppress(GuestTimeout):
            self._send_raw(encode(self._session, 0, Request.HELLO), 0.0)

    @property
    def connected(self) -> bool:
        """Whether the agent has answered and nothing has ended the connection since."""
        return self._connected and self.failure is None

    def send(
        self, channel: int, kind: Request, payload: bytes | memoryview = b"", timeout: float | None = None
    ) -> None:
        """Send a frame. Raises GuestTimeout when the guest takes no data for `timeout` seconds (None: 30)."""
        if self.failure is not None:
            raise self.failure
        if not self._connected and not self.connect(RECONNECT):
            raise GuestTimeout(f"the guest's agent does not answer within {RECONNECT:g} s")
        self._send_raw(encode(self._session, channel, kind, payload), 30.0 if timeout is None else timeout)

    def _send_raw(self, data: bytes, timeout: float) -> None:
        with self._sending:
            sent = self._push(memoryview(data), time.monotonic() + timeout)
        if sent == 0:
            raise GuestTimeout("the guest takes no data from the host: nobody reads the agent's port")
        if sent < len(data):
            # Half a frame is out: what follows would be read as its rest.
            stuck = GuestTimeout("the guest stopped in the middle of taking a request", "look at the console log")
            self.fail(stuck)
            raise stuck

    def _push(self, view: memoryview, until: float) -> int:
        """Send; returns the number of bytes that got out in time."""
        sent = 0
        while sent < len(view):
            try:
                sent += self._sock.send(view[sent:])
                continue
            except BlockingIOError:
                pass
            except OSError as error:
                # The reading thread sees the same, and waits for the reason.
                with self.changed:
                    self.changed.wait_for(lambda: self.failure is not None, VERDICT_PATIENCE + 1)
                raise self.failure or self._gone(str(error)) from error
            if self.failure is not None:
                raise self.failure
            left = until - time.monotonic()
            if left <= 0:
                break
            _poll(self._sock, select.POLLOUT, min(left, 0.2))
        return sent

    def register(self, channel: Channel) -> int:
        """Give a channel its number, which is also returned, and from then on the frames of that number."""
        with self.changed:
            if self.failure is not None:
                raise self.failure
            self._next = self._next % 0xFFFFFFFE + 1
            self.channels[self._next] = channel
            channel.number = self._next
            return self._next

    @property
    def last(self) -> int:
        """Number of the channel that was opened last."""
        return self._next

    def forget(self, channel: Channel) -> None:
        """Nobody waits for this channel any more; frames that still come for it are dropped."""
        with self.changed:
            if self.channels.pop(channel.number, None):
                self._ignored.append(channel.number)

    def fail(self, error: R4LError) -> None:
        """Everything that waits, now or later, ends with `error`. The first one stays."""
        with self.changed:
            if self.failure is None:
                self.failure = error
            for channel in list(self.channels.values()):
                channel.failure = channel.failure or self.failure
            self.channels.clear()
            self.changed.notify_all()

    def waiting(self) -> frozenset[int]:
        """The channels that wait for the guest now, by number."""
        with self.changed:
            return frozenset(self.channels)

    def interrupt(self, error: R4LError, numbers: Collection[int]) -> bool:
        """What still waits of these channels ends with `error`; the connection stays. True if anything waited."""
        with self.changed:
            waiting = [self.channels.pop(number) for number in numbers if number in self.channels]
            for channel in waiting:
                channel.failure = channel.failure or error
                self._ignored.append(channel.number)
            self.changed.notify_all()
            return bool(waiting)

    def close(self) -> None:
        """End the connection; what waits ends with GuestGone."""
        self.fail(GuestGone("the virtual machine was closed"))
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._sock.close()

    def _gone(self, why: str) -> GuestGone:
        return GuestGone(f"the connection to the guest's agent ended: {why}", "QEMU's log and the console say more")

    def _read(self) -> None:
        decoder = Decoder()
        try:
            while True:
                _poll(self._sock, select.POLLIN, None)
                try:
                    data = self._sock.recv(1 << 18)
                except BlockingIOError:
                    continue
                if not data:
                    self._end_of_stream("QEMU closed it")
                    return
                frames = decoder.feed(data)
                with self.changed:
                    for frame in frames:
                        self._dispatch(frame)
        except ProtocolError as error:
            self.fail(error)
        except (OSError, ValueError) as error:
            self._end_of_stream(str(error))

    def _end_of_stream(self, how: str) -> None:
        """QEMU is going down. Whoever watches it knows why, a moment later; only in default of that it is just gone."""
        with self.changed:
            self.changed.wait_for(lambda: self.failure is not None, VERDICT_PATIENCE)
        self.fail(self._gone(how))

    def _dispatch(self, frame: Frame) -> None:
        if frame.kind is Reply.READY and frame.session == 0:
            # The agent begins (or begins again after it died, and then knows nothing of what was).
            if self._connected:
                self.interrupt(GuestGone("the guest's agent died and was started again"), self.waiting())
                self._connected = False
            self._hello_due = True
            self.changed.notify_all()
            return
        if frame.session != self._session:
            return
        if frame.kind is Reply.HELLO:
            version, self.agent_pid = unpack("<II", frame.payload)
            if version != VERSION:
                raise ProtocolError(f"its version is {version}, ours is {VERSION}")
            self._connected = True
            self.changed.notify_all()
            return
        channel = self.channels.get(frame.channel)
        if channel is not None:
            channel.on_frame(frame.kind, frame.payload)
        elif frame.channel not in self._ignored and frame.channel >= self._next + 1:
            raise ProtocolError(f"an answer on channel {frame.channel}, which was never opened")


def _poll(sock: socket.socket, events: int, timeout: float | None) -> None:
    """Wait for a socket. poll(2), because select(2) knows no descriptor over 1023."""
    poller = select.poll()
    poller.register(sock, events)
    poller.poll(None if timeout is None else timeout * 1000)
