# SPDX-License-Identifier: MIT
"""After an oops a command may never end: whoever waits for it is told, once it has had a moment to end by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

GRACE = 1.0
"""Seconds that a command has to end by itself after an oops; longer, and it waits for what will never come."""


class OopsTimer:
    """Calls `then` once, a moment after `begin`, with what waited in the guest then; not at all after `close`."""

    def __init__(self, then: Callable[[frozenset[int]], None]) -> None:
        self._then = then
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def begin(self, waiting: frozenset[int]) -> None:
        """An oops has begun; nothing more happens where one already has.

        Args:
            waiting: the channels that wait for the guest. Those opened later know of the oops already.
        """
        with self._guard:
            if self._timer is None and not self._closed:
                self._timer = threading.Timer(GRACE, self._over, (waiting,))
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """The machine ends."""
        with self._guard:
            self._closed = True
            if self._timer:
                self._timer.cancel()

    def _over(self, waiting: frozenset[int]) -> None:
        with self._guard:
            self._timer = None
        self._then(waiting)
