# SPDX-License-Identifier: MIT
"""Console that shows untrusted text without letting control sequences act on the terminal.

A file's name, a line of a Makefile or of a guest may contain escape sequences: titles, links, sequences that send keys
back (ECMA-48, 5.4 and 5.6). This console escapes them; colours are added by rich alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment

__all__ = ["Console", "only_colours"]

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters other than tab and newline, and characters that change the writing direction."""
OBEYED_OR_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)|" + OBEYED.pattern)


class Console(rich.console.Console):
    """A rich console that escapes control characters in its output, as Python does in `ascii`."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render like rich, with control characters escaped."""
        for segment in super().render(renderable, options):
            if segment.control or not OBEYED.search(segment.text):
                yield segment
            else:
                yield Segment(OBEYED.sub(_escaped, segment.text), segment.style)


def only_colours(text: str) -> str:
    """Return a text with every control sequence escaped except colours (ECMA-48, SGR)."""
    return OBEYED_OR_COLOUR.sub(lambda match: match[1] or _escaped(match), text)


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
