# SPDX-License-Identifier: MIT
"""The complaints of a running VM, kept within limits on memory in a way that hides none from a verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from r4l.klog import lost
from r4l.klog.allowed import Allowance
from r4l.klog.splat import Splat

SPLATS_KEPT = 1000
CHARACTERS_KEPT = 16 << 20
"""Characters of text kept in memory, since a complaint may have hundreds of lines."""
_Entry = tuple[int, Splat]


class Complaints:
    """Complaints, numbered in order of arrival.

    A guest can complain without end. Beyond the limits, complaints on which no verdict depends are dropped first:
    allowed ones, then reported ones, then repetitions of one that stays. If others must go, an error that says so takes
    their place (`lost.by_limit`), and the fatal and the first ones stay.

    Args:
        log: file with the console, named in that error.

    Attributes:
        count: number of complaints so far, including allowed and dropped ones.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.count = 0
        self._log = log
        self._kept: list[_Entry] = []
        self._size = 0
        self._allowed: list[Allowance] = []
        self._unkept = 0
        self._loss: lost.LogLost | None = None

    def add(self, splats: Iterable[Splat]) -> None:
        """Add complaints."""
        for splat in splats:
            self._kept.append((self.count, splat))
            self.count += 1
            self._size += _size(splat)
            if self._exceed(1):
                self._drop()

    def since(self, number: int) -> list[Splat]:
        """Return the complaints from a number on that are not allowed. Losses of the log come last."""
        found = [splat for place, splat in self._kept if place >= number and not self._is_allowed(splat)]
        return sorted(found, key=lambda splat: isinstance(splat, lost.LogLost))

    def allow(self, pattern: str, reason: str) -> None:
        """Allow complaints whose headline matches a regular expression."""
        self._allowed.append(Allowance(re.compile(pattern), reason))

    def allowances(self) -> list[str]:
        """Describe the allowed complaints, one line each."""
        self.since(0)
        return [str(allowance) for allowance in self._allowed]

    def _is_allowed(self, splat: Splat) -> bool:
        # Every allowance is asked, since each reports whether its complaint came.
        return bool([allowance for allowance in self._allowed if allowance.covers(splat)])

    def _exceed(self, parts: int = 1, without: int = 0) -> bool:
        """True if one of the limits, divided by `parts`, is exceeded, also without some of the complaints."""
        return len(self._kept) - without > SPLATS_KEPT // parts or self._size > CHARACTERS_KEPT // parts

    def _drop(self) -> None:
        """Drop complaints down to half of the limits, so that the next many need no search."""
        self._drop_from(self._kept, self._is_allowed)
        self._drop_from(self._kept, lambda splat: splat.told)
        first: dict[tuple[str, str], Splat] = {}
        for _, splat in self._kept:
            first.setdefault((splat.splat_kind, splat.headline), splat)
        self._drop_from(self._kept, lambda splat: first[splat.splat_kind, splat.headline] is not splat)
        if not self._exceed():
            return
        # One loss tells of all: it moves to the end, and is new to those who know the one before.
        self._drop_from([entry for entry in self._kept if entry[1] is self._loss], lambda _: True)
        gone = self._drop_from(self._kept[:0:-1], lambda splat: not splat.fatal and not isinstance(splat, lost.LogLost))
        gone |= self._drop_from(self._kept[:0:-1], lambda _: True)
        self._unkept += len(gone)
        self._loss = lost.by_limit(self._unkept, self._log)
        self._kept.append((self.count, self._loss))
        self.count += 1

    def _drop_from(self, entries: Iterable[_Entry], expendable: Callable[[Splat], bool]) -> set[int]:
        """Drop the first of some entries, as far as necessary; return the numbers of those that were dropped."""
        gone: set[int] = set()
        for number, splat in entries:
            if not self._exceed(2, without=len(gone)):
                break
            if expendable(splat):
                gone.add(number)
                self._size -= _size(splat)
                for allowance in self._allowed:
                    allowance.release(splat)
        self._kept = [entry for entry in self._kept if entry[0] not in gone]
        return gone


def _size(splat: Splat) -> int:
    return sum(len(record.text) for record in splat.records)
