# SPDX-License-Identifier: MIT
"""Put lines together that a mail program has broken in a way that can be undone (RFC 3676, format=flowed)."""

from __future__ import annotations

import re

from r4l.klog import kinds
from r4l.klog.prefixes import parse_any_line

LONGEST = 1024
"""Characters of a line that is put together; the kernel prints no longer ones (PRINTKRB_RECORD_MAX)."""
WIDTH = range(20, 81)
"""Characters of a line that is taken for a broken one without a header that says so."""
_QUOTE = re.compile(r"(?:> ?)*")
_SIGNATURE = "-- "


class FlowedLines:
    """Lines of a mail, of which those that end with a blank go on in the next one.

    A header announces such lines. Without it, as in a text that somebody has copied, two blanks at the end of a line of
    a mail's width mark one: the kernel prints no such lines.

    Attributes:
        announced: True if a header says so.
    """

    def __init__(self) -> None:
        self.announced = False
        self._held: str | None = None

    @property
    def open(self) -> bool:
        """True while a line waits for its next part."""
        return self._held is not None

    def is_broken(self, line: str) -> bool:
        """True if the next line may go on with this one."""
        if not line.endswith(" ") or len(line) > LONGEST or line.endswith(_SIGNATURE):
            return False
        return self.announced or (line.endswith("  ") and len(line) in WIDTH and not _is_marked(line))

    def feed(self, line: str) -> list[str]:
        """Add a line; return the lines that are complete."""
        held, self._held = self._held, None
        if held is not None:
            quote = _quote(held)
            rest = line.removeprefix(quote)
            if _quote(line) != quote or not _goes_on(rest):
                return [held, *self.feed(line)]
            line = f"{held.rstrip()} {rest}"
        if self.is_broken(line):
            self._held = line
            return []
        return [line]

    def flush(self) -> list[str]:
        """End the text: return the line that waits."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _quote(line: str) -> str:
    match = _QUOTE.match(line)
    return match[0] if match else ""


def _is_marked(text: str) -> bool:
    """True if a line says who wrote it, so that it is a line of its own."""
    return any(record.kernel is not None for record in parse_any_line(text))


def _goes_on(text: str) -> bool:
    """True if a text can be the rest of a line; the kernel's next message begins with a mark, or with words of its
    own."""
    if not text.strip() or text[0] in " \t":
        return False
    if text.startswith("["):
        # A module, or the word that a function is inlined, unless it is a time.
        return not _is_marked(text)
    return not (_is_marked(text) or kinds.begins(text) or kinds.BELONGS.match(text))
