# SPDX-License-Identifier: MIT
"""Complaints that are known and passed over, each with the reason why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from r4l.klog.splat import Splat


@dataclass
class Allowance:
    """A complaint that may come.

    Attributes:
        pattern: is searched in headlines.
        reason: why it is no failure.
    """

    pattern: re.Pattern[str]
    reason: str = ""
    _headlines: dict[Splat, str] = field(default_factory=dict, repr=False)

    def covers(self, splat: Splat) -> bool:
        """Whether it is such a complaint; if so, it is kept in mind."""
        if not self.pattern.search(splat.headline):
            return False
        self._headlines[splat] = splat.headline
        return True

    def __str__(self) -> str:
        why = f" — {self.reason}" if self.reason else ""
        count = len(self._headlines)
        if not count:
            return f"did not come: {self.pattern.pattern}{why}"
        times = f" ({count} times)" if count > 1 else ""
        return f"came{times}: {next(iter(self._headlines.values()))}{why}"
