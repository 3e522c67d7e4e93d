# SPDX-License-Identifier: MIT
"""Console that shows untrusted text without letting control sequences act on the terminal.

A file's name, a line of a Makefile or of a guest may contain escape sequences: titles, links, sequences that send keys
back (ECMA-48, 5.4 and 5.6). This console escapes them; colours are added by rich alone.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment

__all__ = ["ColouredOutput", "Console", "escaped", "only_colours"]

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters other than tab and newline, and characters that change the writing direction."""
OBEYED_OR_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)|" + OBEYED.pattern)


BEGUN = re.compile(r"\x1b(?:\[[0-9;]{0,64})?\Z")
"""A colour of which the end is missing."""


class Console(rich.console.Console):
    """A rich console that escapes control characters in its output, as Python does in `ascii`."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render like rich, with control characters escaped."""
        for segment in super().render(renderable, options):
            if segment.control or not OBEYED.search(segment.text):
                yield segment
            else:
                yield Segment(escaped(segment.text), segment.style)


def only_colours(text: str) -> str:
    """Return a text with every control sequence escaped except colours (ECMA-48, SGR)."""
    return OBEYED_OR_COLOUR.sub(lambda match: match[1] or _escaped(match), text)


def escaped(text: str) -> str:
    """Return a text with every control character other than tab and newline escaped."""
    return OBEYED.sub(_escaped, text)


class ColouredOutput:
    """Output of a program, which comes in pieces, as `only_colours` has it. Bytes that are not UTF-8 are escaped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""

    def text(self, data: bytes, *, last: bool = False) -> str:
        """Return a piece of the output as text. A colour that is cut off is kept for the next piece.

        Args:
            data: the piece.
            last: True if no other one follows.
        """
        text = self._held + self._decoder.decode(data, last)
        begun = None if last else BEGUN.search(text)
        self._held = begun[0] if begun else ""
        return only_colours(text.removesuffix(self._held))


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
