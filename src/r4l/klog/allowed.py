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
    _headlines: dict[Splat, str] = field(default_factory=dict, repr=False)

    def covers(self, splat: Splat) -> bool:
        """True if the complaint is allowed by this entry; its headline is then remembered."""
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
