# SPDX-License-Identifier: MIT
"""Complaints of the kernel that a test allows, each with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from r4l.klog.splat import Splat


@dataclass
class Allowance:
    """A complaint that is no failure.

    Attributes:
        pattern: regular expression, searched in headlines.
        reason: why the complaint is no failure.
    """

    pattern: re.Pattern[str]
    reason: str = ""
    _splats: set[Splat] = field(default_factory=set, repr=False)
    _released: int = field(default=0, repr=False)
    _first: str = field(default="", repr=False)

    def covers(self, splat: Splat) -> bool:
        """True if the complaint is allowed by this entry; it is then counted, once."""
        if not self.pattern.search(splat.headline):
            return False
        self._first = self._first or splat.headline
        self._splats.add(splat)
        return True

    def release(self, splat: Splat) -> None:
        """Hold a complaint no longer that will not be asked about again; it stays counted."""
        if splat in self._splats:
            self._splats.remove(splat)
            self._released += 1

    def __str__(self) -> str:
        why = f" — {self.reason}" if self.reason else ""
        count = len(self._splats) + self._released
        if not count:
            return f"did not come: {self.pattern.pattern}{why}"
        times = f" ({count} times)" if count > 1 else ""
        return f"came{times}: {self._first}{why}"
