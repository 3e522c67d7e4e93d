# SPDX-License-Identifier: MIT
"""The card's end of a cable: a descriptor that carries one frame in each read and write."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence

from r4l.threads import Failed, guarded

LARGEST = 1 << 16
"""Bytes of a frame."""
BATCH = 64
"""Frames that are read in one go."""
QUEUE = 256
"""Frames that wait for a cable that takes none now; beyond that the card stops sending."""
SMALLEST = 60
"""Bytes of a frame without FCS; a shorter one from a virtual neighbour is padded, as each real card does."""


class Line:
    """A thread that receives, and a queue for what cannot be sent at once.

    Args:
        descriptor: the cable's end; it is duplicated.
        receive: called with the frames that came.
        drained: called when the line takes frames again after it was full.
        failed: called with an exception that ends the thread.
    """

    def __init__(
        self, descriptor: int, receive: Callable[[Sequence[bytes]], None], drained: Callable[[], None], failed: Failed
    ) -> None:
        self._fd = os.dup(descriptor)
        os.set_blocking(self._fd, False)
        self._receive, self._drained = receive, drained
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._queue: deque[bytes] = deque()
        self._guard = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=guarded(self._run, failed), name="r4l-line", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """True if so many frames wait that the card has to stop."""
        return len(self._queue) >= QUEUE

    def send(self, frame: bytes) -> None:
        """Send a frame, or queue it."""
        with self._guard:
            if not self._queue and self._write(frame):
                return
            self._queue.append(frame)
            if len(self._queue) == 1 and not self._over:
                os.eventfd_write(self._wake, 1)

    def _write(self, frame: bytes) -> bool:
        """Write a frame; return False if the cable takes none now. A cable whose other end is gone loses all."""
        try:
            os.write(self._fd, frame)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        gone = False
        while not self._over:
            if not gone:
                poll.register(self._fd, select.POLLIN | (select.POLLOUT if self._queue else 0))
            events = dict(poll.poll())
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            if self._queue:
                self._flush()
            event = events.get(self._fd, 0)
            if event & select.POLLIN:
                gone = not self._read()
            elif event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                gone = True
            if gone:
                with contextlib.suppress(KeyError):
                    poll.unregister(self._fd)

    def _read(self) -> bool:
        """Receive the frames that are there; return False if the other end is gone."""
        frames: list[bytes] = []
        alive = True
        while alive and len(frames) < BATCH:
            try:
                frame = os.read(self._fd, LARGEST)
            except BlockingIOError:
                break
            except OSError:
                frame = b""
            alive = bool(frame)
            if alive:
                frames.append(frame.ljust(SMALLEST, b"\0"))
        if frames and not self._over:
            self._receive(frames)
        return alive

    def _flush(self) -> None:
        with self._guard:
            was_full = self.full
            while self._queue and self._write(self._queue[0]):
                self._queue.popleft()
            again = was_full and not self.full
        if again:
            self._drained()

    def close(self) -> None:
        """End the thread, without waiting if it is the caller, and let the cable go."""
        self._over = True
        os.eventfd_write(self._wake, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)
        with self._guard:
            self._queue.clear()
            os.close(self._fd)
            os.close(self._wake)
