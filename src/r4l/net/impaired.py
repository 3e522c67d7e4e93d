# SPDX-License-Identifier: MIT
"""What a bad line does to frames: loss, duplicates, delay. The same seed does the same to the same frames."""

from __future__ import annotations

from random import Random

from r4l.errors import UsageError


class Impaired:
    """A line with faults, none at first.

    Args:
        seed: of both directions' random generators.
    """

    def __init__(self, seed: int = 0) -> None:
        self._loss = self._duplicate = self._delay = 0.0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin both directions' random numbers anew."""
        # One for each: how the two directions' frames interleave is up to the scheduler.
        self._to_guest, self._from_guest = Random(seed), Random(seed + 1)

    @property
    def loss(self) -> float:
        """The probability of a frame's loss, in each direction."""
        return self._loss

    @loss.setter
    def loss(self, value: float) -> None:
        self._loss = _probability("loss", value)

    @property
    def duplicate(self) -> float:
        """The probability that a frame comes twice, in each direction."""
        return self._duplicate

    @duplicate.setter
    def duplicate(self, value: float) -> None:
        self._duplicate = _probability("duplicate", value)

    @property
    def delay(self) -> float:
        """Seconds that a frame takes, in each direction: a round trip takes twice as long."""
        return self._delay

    @delay.setter
    def delay(self, value: float) -> None:
        if value < 0:
            raise UsageError(f"a delay of {value:g} s is none", "give 0 or more")
        self._delay = value

    def _copies(self, random: Random) -> int:
        """How many times a frame arrives."""
        # Both are drawn for each frame: a frame's fate depends on its number, not on what became of those before.
        lost, doubled = random.random() < self._loss, random.random() < self._duplicate
        return 0 if lost else 2 if doubled else 1


def _probability(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is a probability, and {value:g} is none", "give a number from 0 to 1")
    return value
