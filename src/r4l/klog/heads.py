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
_HEAD = re.compile(r"(?=.*\w).*(?:[\]|:]\s*|(?:>|:\d+)\s+|\S\t|\S {4,})$|\s*\d{1,7} +$")
"""Shape of such a prefix. Source code, lists and prose have other words before a headline."""
_NUMBER = re.compile(r"\d+")


class RepeatedHead:
    """Prefix of the lines of a log, taken off as long as it is repeated."""

    def __init__(self) -> None:
        self._words: list[str] = []
        """The prefix, parted at its numbers, which may count lines or tell the time."""
        self._blanks = ""
        """Blanks at its end; an empty line may lack them."""
        self._held: tuple[str, str, int] | None = None
        """A line with a headline inside: its text without the prefix, the whole line, its number."""
        self._misses = 0

    @property
    def holding(self) -> bool:
        """True while a line is held back for the one after it."""
        return self._held is not None

    def feed(self, line: str, number: int) -> list[tuple[str, int]]:
        """Return the lines, each with its number, that can be read after this one; without the prefix, if there is
        one."""
        if not self._words:
            return self._begin(line, number)
        held, self._held = self._held, None
        text = self._without(line)
        if text is not None:
            self._misses = 0
            return [*([(held[0], held[2])] if held else []), (text, number)]
        self._misses += 1
        if held or self._misses > MISSES:
            self._words = []
            return [*([(held[1], held[2])] if held else []), *self._begin(line, number)]
        return [(line, number)]

    def flush(self) -> list[tuple[str, int]]:
        """Return the line that was held back for the one after it."""
        held, self._held = self._held, None
        if held:
            # Nothing has repeated the prefix.
            self._words = []
        return [(held[1], held[2])] if held else []

    def _begin(self, line: str, number: int) -> list[tuple[str, int]]:
        found = kinds.ANYWHERE.search(line, 2, LONGEST + 80)
        if kinds.begins(line):
            # The words before are the kernel's own: `Oops: general protection fault, …`.
            return [(line, number)]
        if found is None or found.start() > LONGEST or not _HEAD.match(line[: found.start()]):
            return [(line, number)]
        head = line[: found.start()].rstrip()
        self._words = _NUMBER.split(head)
        self._blanks = line[len(head) : found.start()]
        self._held, self._misses = (line[found.start() :], line, number), 0
        return []

    def _without(self, line: str) -> str | None:
        """Return a line without the prefix; None if it does not begin with it."""
        # Line numbers grow into the blanks before them.
        at = len(line) - len(line.lstrip()) if self._words[0].isspace() else 0
        for count, word in enumerate(self._words):
            word = "" if not count and word.isspace() else word
            if count:
                digits = _NUMBER.match(line, at)
                if digits is None:
                    return None
                at = digits.end()
            if not line.startswith(word, at):
                return None
            at += len(word)
        rest = line[at:]
        return rest.removeprefix(self._blanks) if rest.startswith(self._blanks) or not rest.strip() else None
