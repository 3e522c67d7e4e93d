# SPDX-License-Identifier: MIT
"""The connection to an agent: one socket, one thread that reads it, any number of channels.

A thread that waits for the guest waits on a `Channel`. A channel ends by its own frames, or because another thread
reports that waiting is useless (`Link.fail` for good, `Link.interrupt` for the present waits). In this way a kernel
panic seen on the console ends a wait at once instead of after its time-out.
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
from r4l.threads import guarded, thread_failure

HELLO_INTERVAL = 0.5
RECONNECT = 5.0
VERDICT_PATIENCE = 5.0
FILLING = bytes(HEADER.size + MAX_PAYLOAD + TRAILER.size)
"""Zeros that end any half frame, which the agent then drops (rust/agent/src/frame.rs)."""


class Link:
    """A connection to an agent; see the module. Takes over `sock`, a connected stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self.changed = threading.Condition()
        self._sending = threading.Lock()
        self._cut = False
        self.channels: dict[int, Channel] = {}
        self._ignored: deque[int] = deque(maxlen=64)
        self._next = 1
        self._session = fresh_session()
        self._connected = False
        self._hello_due = False
        self.agent_pid = 0
        self.failure: R4LError | None = None
        self._thread = threading.Thread(target=guarded(self._read, self._failed), name="r4l-agent-reader", daemon=True)
        self._thread.start()

    def connect(self, timeout: float, *, stale: bool = False, watch: Callable[[], None] | None = None) -> bool:
        """Send HELLO until the agent answers; return False if it has not within `timeout` seconds.

        Args:
            stale: the agent at the other end may know another host (a restored snapshot) and be in the middle of a
                frame, which is completed first.
            watch: called a few times a second while waiting; may raise to end the wait.

        Raises:
            R4LError: the argument of `fail`, or an exception of `watch`.
        """
        if stale:
            self._send_raw(FILLING, timeout)
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
        # Without a reader at the other end, HELLOs would pile up in the socket: one pending HELLO is enough.
        with contextlib.suppress(GuestTimeout):
            self._send_raw(encode(self._session, 0, Request.HELLO), 0.0)

    @property
    def connected(self) -> bool:
        """True if the agent has answered and the connection has not ended since."""
        return self._connected and self.failure is None

    def send(
        self, channel: int, frame_type: Request, payload: bytes | memoryview = b"", timeout: float | None = None
    ) -> None:
        """Send a frame.

        Raises:
            GuestTimeout: the guest took no data for `timeout` seconds (None: 30), or no agent answers.
        """
        if self.failure is not None:
            raise self.failure
        if not self._connected and not self.connect(RECONNECT):
            raise GuestTimeout(f"the guest's agent does not answer within {RECONNECT:g} s")
        self._send_raw(encode(self._session, channel, frame_type, payload), 30.0 if timeout is None else timeout)

    def _send_raw(self, data: bytes, timeout: float) -> None:
        until = time.monotonic() + timeout
        if not self._sending.acquire(timeout=timeout):
            raise GuestTimeout("the guest takes no data from the host: another request waits for it")
        try:
            if self._cut and self._push(memoryview(FILLING), until) < len(FILLING):
                raise GuestTimeout("the guest takes no data from the host: it stopped reading in a request before")
            # Also if an exception ends the sending, such as KeyboardInterrupt.
            self._cut = True
            sent = self._push(memoryview(data), until)
            self._cut = 0 < sent < len(data)
        finally:
            self._sending.release()
        if sent == 0:
            raise GuestTimeout("the guest takes no data from the host: no process reads the agent's port")
        if sent < len(data):
            raise GuestTimeout("the guest stopped reading in the middle of a request", "read the console log")

    def _push(self, view: memoryview, until: float) -> int:
        """Send data until the monotonic time `until`; return the number of bytes sent."""
        sent = 0
        while sent < len(view):
            try:
                sent += self._sock.send(view[sent:])
                continue
            except BlockingIOError:
                pass
            except OSError as error:
                # The reading thread sees the same end, and waits for the reason.
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
        """Assign a number to a channel and return it; frames of that number go to the channel from now on."""
        with self.changed:
            if self.failure is not None:
                raise self.failure
            self._next = self._next % 0xFFFFFFFE + 1
            self.channels[self._next] = channel
            channel.number = self._next
            return self._next

    @property
    def last(self) -> int:
        """Number of the most recently opened channel."""
        return self._next

    def forget(self, channel: Channel) -> None:
        """Close a channel; frames that still arrive for it are dropped."""
        with self.changed:
            if self.channels.pop(channel.number, None):
                self._ignored.append(channel.number)

    def fail(self, error: R4LError) -> None:
        """End all waits, present and future, with `error`. Only the first error counts."""
        with self.changed:
            if self.failure is None:
                self.failure = error
            for channel in list(self.channels.values()):
                channel.cut(self.failure)
            self.channels.clear()
            self.changed.notify_all()

    def waiting(self) -> frozenset[int]:
        """Return the numbers of the channels that wait for the guest now."""
        with self.changed:
            return frozenset(self.channels)

    def interrupt(self, error: R4LError, numbers: Collection[int]) -> bool:
        """End the waits of the given channels with `error` and keep the connection; return True if any was waiting."""
        with self.changed:
            waiting = [self.channels.pop(number) for number in numbers if number in self.channels]
            for channel in waiting:
                channel.cut(error)
                self._ignored.append(channel.number)
            self.changed.notify_all()
            return bool(waiting)

    def close(self) -> None:
        """Close the connection; pending waits end with GuestGone."""
        self.fail(GuestGone("the virtual machine was closed"))
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._sock.close()

    def _gone(self, why: str) -> GuestGone:
        return GuestGone(f"the connection to the guest's agent ended: {why}", "read QEMU's log and the console")

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

    def _failed(self, error: BaseException) -> None:
        self.fail(thread_failure("reading from the guest's agent", error))

    def _end_of_stream(self, how: str) -> None:
        """Handle the end of the connection.

        QEMU is ending: wait for its watcher to report the reason, else report GuestGone.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.failure is not None, VERDICT_PATIENCE)
        self.fail(self._gone(how))

    def _dispatch(self, frame: Frame) -> None:
        if frame.type is Reply.READY and frame.session == 0:
            # The agent starts, or starts again after its death without any memory of earlier requests.
            if self._connected:
                self.interrupt(GuestGone("the guest's agent died and was started again"), self.waiting())
                self._connected = False
            self._hello_due = True
            self.changed.notify_all()
            return
        if frame.session != self._session:
            return
        if frame.type is Reply.HELLO:
            version, self.agent_pid = unpack("<II", frame.payload)
            if version != VERSION:
                raise ProtocolError(f"its version is {version}, ours is {VERSION}")
            self._connected = True
            self.changed.notify_all()
            return
        channel = self.channels.get(frame.channel)
        if channel is not None:
            try:
                channel.on_frame(frame.type, frame.payload)
            except ProtocolError:
                raise
            except Exception as error:  # noqa: BLE001 (raised in the thread that waits for this channel)
                channel.fail(thread_failure("taking the guest's answer", error))
        elif frame.channel not in self._ignored and frame.channel >= self._next + 1:
            raise ProtocolError(f"an answer on channel {frame.channel}, which was never opened")


def _poll(sock: socket.socket, events: int, timeout: float | None) -> None:
    """Wait for a socket. Uses poll(2), because select(2) is limited to descriptors up to 1023."""
    poller = select.poll()
    poller.register(sock, events)
    poller.poll(None if timeout is None else timeout * 1000)
