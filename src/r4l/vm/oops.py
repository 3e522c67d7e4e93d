# SPDX-License-Identifier: MIT
"""Interrupt commands that hang after an oops, once they have had a moment to end by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable

from r4l.threads import Failed, guarded

GRACE = 1.0
"""Seconds that a command gets to end after an oops; after that it is taken to wait forever."""


class OopsTimer:
    """Timer that calls `then` once, a moment after `begin`, with the channels that waited then; never after `close`.

    Args:
        then: the function.
        failed: called with its exception.
    """

    def __init__(self, then: Callable[[frozenset[int]], None], failed: Failed) -> None:
        self._then, self._failed = then, failed
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def begin(self, waiting: frozenset[int]) -> None:
        """Start the timer at the begin of an oops, unless it runs already.

        Args:
            waiting: channels that wait for the guest. Channels opened later are not affected by the oops.
        """
        with self._guard:
            if self._timer is None and not self._closed:
                self._timer = threading.Timer(GRACE, guarded(self._over, self._failed), (waiting,))
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Stop the timer for good."""
        with self._guard:
            self._closed = True
            if self._timer:
                self._timer.cancel()

    def _over(self, waiting: frozenset[int]) -> None:
        with self._guard:
            self._timer = None
        self._then(waiting)
