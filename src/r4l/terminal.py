# SPDX-License-Identifier: MIT
"""The terminal: texts that somebody else chose are shown there and obeyed by nothing.

A name of a file, a line of a Makefile or of a guest may hold escape sequences: a title, a link, keys that are sent back
(ECMA-48, 5.4 and 5.6). All that goes through this console is shown with them escaped; the colours are rich's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment

__all__ = ["Console", "only_colours"]

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that turn the direction of writing."""
OBEYED_OR_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)|" + OBEYED.pattern)


class Console(rich.console.Console):
    """A console of rich's that escapes control characters in what is printed, as Python does."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """As rich does."""
        for segment in super().render(renderable, options):
            if segment.control or not OBEYED.search(segment.text):
                yield segment
            else:
                yield Segment(OBEYED.sub(_escaped, segment.text), segment.style)


def only_colours(text: str) -> str:
    """A text that may be coloured (ECMA-48, SGR), with every other control character escaped."""
    return OBEYED_OR_COLOUR.sub(lambda match: match[1] or _escaped(match), text)


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
