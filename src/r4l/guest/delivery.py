# SPDX-License-Identifier: MIT
"""Output of a command on its way to the callbacks, on a thread of its own: one that blocks holds up no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from r4l.guest.frames import OUTPUT_WINDOW
from r4l.guest.output import Sink
from r4l.threads import Failed, guarded

TELL = OUTPUT_WINDOW // 4
"""Bytes of output after which the agent is told that they were passed on."""


class Delivery:
    """The output that has come and was not passed on yet. Its methods are called with the link's lock held.

    Args:
        taken: called on the thread with a number of bytes that were passed on.
        done: called after the last piece, on the thread if there was a piece.
        failed: called with an exception that ends the thread, such as a full disk's.
    """

    def __init__(self, taken: Callable[[int], object], done: Callable[[], object], failed: Failed) -> None:
        self._taken, self._done, self._failed = taken, done, failed
        self._pieces: queue.SimpleQueue[tuple[Sink, bytes] | None] = queue.SimpleQueue()
        self._begun = self._ended = False
        self._passed = self._came = 0

    def put(self, sink: Sink, data: bytes) -> None:
        """Have a piece passed on."""
        if not self._begun:
            self._begun = True
            threading.Thread(target=guarded(self._work, self._failed), name="r4l-output", daemon=True).start()
        self._came += len(data)
        self._pieces.put((sink, data))

    def end(self) -> None:
        """Have `done` called once all is passed on. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        if self._begun:
            self._pieces.put(None)
        else:
            self._done()

    @property
    def backlog(self) -> int:
        """Number of bytes that were not passed on yet."""
        return self._came - self._passed

    def _work(self) -> None:
        told = 0
        while piece := self._pieces.get():
            sink, data = piece
            sink.write(data)
            self._passed += len(data)
            if self._passed - told >= TELL or sink.failed:
                self._taken(self._passed - told)
                told = self._passed
        self._done()
