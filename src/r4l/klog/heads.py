# SPDX-License-Identifier: MIT
"""Find a prefix that no table lists, by its repetition: `[vm-test] BUG: …`, `[vm-test] Call Trace:`.

Only logs without the kernel's own marks need this; before a time stamp of the kernel, any words are a prefix.
"""

from __future__ import annotations

import re

from r4l.klog import kinds

LONGEST = 120
"""Characters of a prefix."""
MISSES = 40
"""Consecutive lines without the prefix after which it is forgotten."""
_HEAD = re.compile(r"(?=.*\w).*(?:[\]|:]\s*|(?:>|:\d+)\s+|\S\t|\S {4,})$")
"""How such a prefix looks. Source code, lists and prose have other words before a headline."""
_NUMBER = re.compile(r"\d+")


class RepeatedHead:
    """Prefix of the lines of a log, taken off as long as it is repeated."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._held: tuple[str, str, int] | None = None
        """A line with a headline inside: its text without the prefix, the whole line, its number."""
        self._misses = 0

    def feed(self, line: str, number: int) -> list[tuple[str, int]]:
        """Return the lines, each with its number, that can be read after this one; without the prefix, if there is
        one."""
        if self._pattern is None:
            return self._begin(line, number)
        held, self._held = self._held, None
        match = self._pattern.match(line)
        if match:
            self._misses = 0
            return [*([(held[0], held[2])] if held else []), (line[match.end() :], number)]
        self._misses += 1
        if held or self._misses > MISSES:
            self._pattern = None
            return [*([(held[1], held[2])] if held else []), *self._begin(line, number)]
        return [(line, number)]

    def flush(self) -> list[tuple[str, int]]:
        """Return the line that was held back for the one after it."""
        held, self._held = self._held, None
        return [(held[1], held[2])] if held else []

    def _begin(self, line: str, number: int) -> list[tuple[str, int]]:
        found = kinds.ANYWHERE.search(line, 2, LONGEST + 80)
        if found is None or found.start() > LONGEST or not _HEAD.match(line[: found.start()]):
            return [(line, number)]
        head = line[: found.start()].rstrip()
        blanks = line[len(head) : found.start()]
        # Numbers in it may count lines, or tell the time.
        words = _NUMBER.sub(r"\\d+", re.escape(head))
        self._pattern = re.compile(f"{words}(?:{re.escape(blanks)}|\\s*$)")
        self._held, self._misses = (line[found.start() :], line, number), 0
        return []
