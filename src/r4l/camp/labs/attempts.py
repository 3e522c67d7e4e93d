# SPDX-License-Identifier: MIT
"""A student's attempts: results of the checks so far, as a workspace records them and a bundle repeats them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST = 200
"""Maximum number of attempts in a bundle and in a grade: the newest. Some students make thousands."""
MOST_MADE = 10**9
"""Maximum number of attempts in all."""
LONGEST = 200
"""Maximum characters of a text."""
MOST_POINTS = 1000
"""Maximum number of checkpoints and questions, far above that of any lab."""


def is_text(value: object) -> bool:
    """True for a short text without unprintable characters."""
    return isinstance(value, str) and len(value) <= LONGEST and value.isprintable()


def is_count(value: object, most: int = MOST_POINTS) -> bool:
    """True for a number of checkpoints and questions, or of other things of which there are at most `most`."""
    return type(value) is int and 0 <= value <= most


KEYS: dict[str, Callable[[object], bool]] = {
    "when": is_text, "reached": is_count, "of": is_count, "kernel": is_text, "next": is_text
}  # fmt: skip
"""Keys of an attempt, with the test of each value: time, result, releases of the kernels, first checkpoint missed."""
REQUIRED = {"reached", "of"}


def known_attempts(attempts: object) -> list[dict[str, Any]]:
    """Return attempts with the known keys only.

    Raises:
        ValueError: the value is no list of attempts.
    """
    if not isinstance(attempts, list):
        raise ValueError("the attempts are no list")
    return [_known(attempt) for attempt in attempts]


def _known(attempt: object) -> dict[str, Any]:
    if not isinstance(attempt, dict) or not attempt.keys() >= REQUIRED:
        raise ValueError(f"an attempt lacks {' or '.join(sorted(REQUIRED))}")
    known = {key: attempt[key] for key in KEYS if key in attempt}
    wrong = [key for key, value in known.items() if not KEYS[key](value)]
    if wrong:
        raise ValueError(f"an attempt has a value that no check records: {', '.join(wrong)}")
    return known
