# SPDX-License-Identifier: MIT
"""Faults of a line: loss, duplicates, delay. The same seed causes the same faults for the same frames."""

from __future__ import annotations

from random import Random

from r4l.errors import UsageError


class Impaired:
    """A line with adjustable faults, initially none.

    Args:
        seed: of both directions' random generators.
    """

    def __init__(self, seed: int = 0) -> None:
        self._loss = self._duplicate = self._delay = 0.0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Restart the random numbers of both directions."""
        # One generator for each direction: the order of frames across directions depends on the scheduler.
        self._to_guest, self._from_guest = Random(seed), Random(seed + 1)

    @property
    def loss(self) -> float:
        """Probability that a frame is lost, in each direction."""
        return self._loss

    @loss.setter
    def loss(self, value: float) -> None:
        self._loss = _probability("loss", value)

    @property
    def duplicate(self) -> float:
        """Probability that a frame arrives twice, in each direction."""
        return self._duplicate

    @duplicate.setter
    def duplicate(self, value: float) -> None:
        self._duplicate = _probability("duplicate", value)

    @property
    def delay(self) -> float:
        """Seconds of delay in each direction; a round trip takes twice as long."""
        return self._delay

    @delay.setter
    def delay(self, value: float) -> None:
        if value < 0:
            raise UsageError(f"a delay cannot be {value:g} s", "give 0 or more")
        self._delay = value

    def _copies(self, random: Random) -> int:
        """Return how many times a frame arrives: 0, 1 or 2."""
        # Both numbers are drawn for each frame, so that its fate depends on its position only.
        lost, doubled = random.random() < self._loss, random.random() < self._duplicate
        return 0 if lost else 2 if doubled else 1


def _probability(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is a probability and cannot be {value:g}", "give a number from 0 to 1")
    return value
