# SPDX-License-Identifier: MIT
"""Time for models: actions of a device that are done later.

`RunningTime` is the guest's time, which stops while the machine is paused. `SteppedTime` advances only at a test's
command, which makes every run the same.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from r4l.pci.access import ModelError
from r4l.pci.declared import place_of
from r4l.threads import Failed, guarded

MOST_AT_ONCE = 100_000
"""Number of actions that a clock which a test moves runs at the very moment in which they were scheduled."""


class Clock(Protocol):
    """Source of a model's time."""

    def now(self) -> float:
        """Return the seconds since a fixed moment."""

    def wall(self, when: float) -> float | None:
        """Return the host's seconds until a moment of the clock; None if unknown."""


class RunningTime:
    """The host's monotonic clock, without the time in which the machine was paused."""

    def __init__(self) -> None:
        self._lost = 0.0
        self._since: float | None = None

    def now(self) -> float:
        """Return the seconds that the machine could have run."""
        return (self._since if self._since is not None else time.monotonic()) - self._lost

    def wall(self, when: float) -> float | None:
        """Return the seconds until a moment; None while the machine is paused."""
        return None if self._since is not None else when - self.now()

    def pause(self) -> None:
        """Stop the clock, since the machine is paused."""
        if self._since is None:
            self._since = time.monotonic()

    def resume(self) -> None:
        """Let the clock run again."""
        if self._since is not None:
            self._lost += time.monotonic() - self._since
            self._since = None


class SteppedTime:
    """A clock that stands still until `Device.advance`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Return the seconds since the device was made."""
        return self.seconds

    def wall(self, when: float) -> float | None:
        """Return None: the host's time does not advance this clock."""
        return None


class Timer:
    """An action of a device that is due later.

    Attributes:
        when: due time by the clock, in seconds.
        action: the action; None after `cancel`.
    """

    def __init__(self, when: float, action: Callable[[], object]) -> None:
        self.when = when
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """Cancel the action; no effect if it was done already."""
        self.action = None


class Timers:
    """The timers of one device. Those of a `RunningTime` are done on a thread that sleeps until the next is due.

    Args:
        clock: source of time.
        run: called with each timer that is due.
        failed: called with an exception that ends the thread.
    """

    def __init__(self, clock: Clock, run: Callable[[Timer], None], failed: Failed) -> None:
        self.clock = clock
        self._failed = failed
        self._run = run
        self._heap: list[tuple[float, int, Timer]] = []
        # The last one that each thread has taken. It may not have run yet: the thread waits for the device's lock,
        # which a reset may have.
        self._taken: dict[int, Timer] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Schedule an action after some seconds of the clock."""
        timer = Timer(self.clock.now() + seconds, action)
        with self._changed:
            heapq.heappush(self._heap, (timer.when, next(self._order), timer))
            if self._thread is None and not isinstance(self.clock, SteppedTime):
                self._thread = threading.Thread(
                    target=guarded(self._work, self._failed), name="r4l-pci-timers", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return timer

    def _work(self) -> None:
        while timer := self._next():
            self._run(timer)

    def _next(self) -> Timer | None:
        """Wait for the next timer to be due and return it; None when this thread is to end."""
        with self._changed:
            while self._thread is threading.current_thread():
                due = self._heap[0][2] if self._heap else None
                seconds = self.clock.wall(due.when) if due else None
                if due and (due.action is None or (seconds is not None and seconds <= 0)):
                    heapq.heappop(self._heap)
                    if due.action is not None:
                        self._taken[threading.get_ident()] = due
                        return due
                    continue
                self._changed.wait(seconds)
            return None

    def advance(self, seconds: float) -> None:
        """Advance a `SteppedTime`, and run the timers that become due on the way, in the order of their times.

        Raises:
            TypeError: the clock is another.
            ValueError: the time is negative, or no number of seconds.
            ModelError: actions schedule others without end, and no time passes between them.
        """
        clock = self.clock
        if not isinstance(clock, SteppedTime):
            raise TypeError("this clock goes by itself; `clock = SteppedTime` in the model gives one to be moved")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"advance takes seconds from 0 on, not {seconds}")
        end = clock.seconds + seconds
        moment, begun, count = clock.seconds, next(self._order), 0
        while True:
            with self._changed:
                if not self._heap or self._heap[0][0] > end:
                    break
                when, order, timer = self._heap[0]
                if when > moment:
                    begun, count = next(self._order), 0
                count += order > begun
                if count > MOST_AT_ONCE:
                    raise _endless(timer, moment)
                heapq.heappop(self._heap)
                self._taken[threading.get_ident()] = timer
            moment = clock.seconds = max(clock.seconds, when)
            if timer.action is not None:
                self._run(timer)
        clock.seconds = end

    def pause(self, paused: bool) -> None:
        """Stop the clock with the machine, or let it run again."""
        if isinstance(self.clock, RunningTime):
            (self.clock.pause if paused else self.clock.resume)()
        with self._changed:
            self._changed.notify()

    def clear(self) -> None:
        """Forget all timers, as a reset does."""
        with self._changed:
            for timer in [*self._taken.values(), *(timer for _, _, timer in self._heap)]:
                timer.cancel()
            self._taken.clear()
            self._heap.clear()
            self._changed.notify()

    def stop(self) -> None:
        """Forget all timers and end the thread, without waiting for it, since an action of the model may hang."""
        self.clear()
        with self._changed:
            self._thread = None
            self._changed.notify_all()


def _endless(timer: Timer, moment: float) -> ModelError:
    """Return the error of a model whose actions have no end at one moment."""
    place = place_of(timer.action) if timer.action else ""
    return ModelError(
        f"{MOST_AT_ONCE} actions of the model were scheduled at {moment:g} s for the same moment, and there are more"
        + (f"; the next one is at {place}" if place else ""),
        "give `after` a time that passes between them",
    )
