# SPDX-License-Identifier: MIT
"""Put lines together that a mail program has broken: in a way that can be undone (RFC 3676, format=flowed), or hard, at
its margin."""

from __future__ import annotations

import re

from r4l.klog import kinds
from r4l.klog.prefixes import parse_any_line

LONGEST = 1024
"""Characters of a line that is put together; the kernel prints no longer ones (PRINTKRB_RECORD_MAX)."""
WIDTH = range(20, 81)
"""Characters of a line that is taken for a broken one without a header that says so."""
MARGIN = 71
"""Characters of the narrowest margin at which mail programs break lines (Evolution's; others have 72 to 78)."""
BROKEN = range(24, 120)
"""Characters of a line that may be broken at a margin, with the quotes that were added later."""
_QUOTE = re.compile(r"(?:> ?)*")
_SIGNATURE = "-- "
_WORD = re.compile(r"\S+(?: {2,}\S+)*")
"""Text at the begin of a line that a mail program keeps together: it breaks at single blanks only."""
_HALF = re.compile(r"(?: at| in| from| virtual| address| kernel| context| dereference| than| for|:)$")
"""End of a line of the kernel's that is not over."""


class FlowedLines:
    """Lines of a mail, of which those that end with a blank go on in the next one.

    A header announces such lines. Without it, as in a text that somebody has copied, two blanks at the end of a line of
    a mail's width mark one: the kernel prints no such lines.

    In a mail, a line of the kernel's also goes on in one without its mark, if the first word of that did not fit into
    the margin.

    Attributes:
        announced: True if a header says that blanks mark broken lines.
        mail: True if the text is a mail.
    """

    def __init__(self) -> None:
        self.announced = False
        self.mail = False
        self._held: str | None = None
        self._width = 0
        """Characters of the last line that was put into the one that waits."""

    @property
    def open(self) -> bool:
        """True while a line waits for its next part."""
        return self._held is not None

    def is_broken(self, line: str) -> bool:
        """True if the next line may go on with this one."""
        if not line.endswith(" ") or len(line) > LONGEST or line.endswith(_SIGNATURE):
            return False
        return self.announced or (line.endswith("  ") and len(line) in WIDTH and not _is_marked(line))

    def may_be_cut(self, line: str) -> bool:
        """True if a mail program may have broken the line at its margin."""
        if not self.mail or len(line) not in BROKEN:
            return False
        text = line.removeprefix(_quote(line))
        return _is_marked(text) or (_HALF.search(text) is not None and kinds.begins(text))

    def feed(self, line: str) -> list[str]:
        """Add a line; return the lines that are complete."""
        held, self._held = self._held, None
        if held is not None:
            quote = _quote(held)
            rest = line.removeprefix(quote)
            soft = self.is_broken(held)
            if _quote(line) != quote or not _goes_on(rest) or not (soft or _did_not_fit(self._width, rest)):
                return [held, *self.feed(line)]
            # Whether it ends at the margin, too, is a matter of its own width.
            cut = self.mail and len(line) in BROKEN
            self._width, line = len(line), f"{held.rstrip()} {rest}"
            waits = self.is_broken(line) or (not soft and cut and len(line) <= LONGEST)
        else:
            self._width, waits = len(line), self.is_broken(line) or self.may_be_cut(line)
        if waits:
            self._held = line
            return []
        return [line]

    def flush(self) -> list[str]:
        """End the text: return the line that waits."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _did_not_fit(width: int, rest: str) -> bool:
    """True if the first word of the rest would have passed the margin of a mail."""
    word = _WORD.match(rest)
    return word is not None and width + 1 + len(word[0]) > MARGIN


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
