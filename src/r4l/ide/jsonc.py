# SPDX-License-Identifier: MIT
"""JSON with comments and trailing commas, the format of VS Code's settings: parsed, and edited in place.

An edit changes only the values concerned: comments, order and indentation stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# An unterminated string or comment extends to the end of the text and is kept. Possessive quantifiers keep this linear.
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*+"?|//[^\n]*|/\*(?:.*?\*/|.*+)', re.DOTALL)
STRING_OR_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*+"?|,(?=\s*[}\]])')
SPACE = re.compile(r"\s*")
INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """The text of one JSON object.

    Attributes:
        values: the parsed object.
        spans: begin and end of each value in the text, by key of the outermost object.
        close: offset of the closing brace.
    """

    text: str
    values: dict[str, Any]
    spans: dict[str, tuple[int, int]]
    close: int

    @classmethod
    def parse(cls, text: str) -> Document:
        """Parse a text.

        Raises:
            ValueError: the text is no JSON object, or nested too deeply; comments and trailing commas are allowed.
        """
        # A byte order mark is one at the very beginning only; elsewhere it is a character.
        marked = text.startswith("\ufeff")
        plain = STRING_OR_TRAILING_COMMA.sub(_blank, STRING_OR_COMMENT.sub(_blank, " " + text[1:] if marked else text))
        try:
            whole = json.loads(plain)
        except RecursionError as error:
            raise ValueError("the text is nested too deeply") from error
        if not isinstance(whole, dict):
            raise ValueError("the text is not a JSON object")
        values: dict[str, Any] = {}
        spans: dict[str, tuple[int, int]] = {}
        decoder = json.JSONDecoder()
        at = _after_space(plain, _after_space(plain, 0) + 1)
        while plain[at] != "}":
            key, at = decoder.raw_decode(plain, at)
            begin = _after_space(plain, _after_space(plain, at) + 1)
            values[key], end = decoder.raw_decode(plain, begin)
            spans[key] = (begin, end)
            at = _after_space(plain, end)
            if plain[at] == ",":
                at = _after_space(plain, at + 1)
        return cls(text, values, spans, at)

    def edited(self, changes: Mapping[str, Any]) -> str:
        """Return the text with values of the outermost object replaced, or added before its closing brace.

        Raises:
            ValueError: the text has an unusual form that cannot be edited, such as `{,}`.
        """
        newline = "\r\n" if "\r\n" in self.text else "\n"
        found = INDENT.search(self.text)
        indent = found[1] if found else "    "

        def written(value: object) -> str:
            return json.dumps(value, indent=indent, ensure_ascii=False).replace("\n", newline + indent)

        added = [f"{indent}{json.dumps(key)}: {written(changes[key])}" for key in changes if key not in self.spans]
        edits = [(*self.spans[key], written(value)) for key, value in changes.items() if key in self.spans]
        if added:
            begin = len(self.text[: self.close].rstrip())
            edits.append((begin, self.close, newline + f",{newline}".join(added) + newline))
            last = max((end for _, end in self.spans.values()), default=None)
            if last is not None and "," not in STRING_OR_COMMENT.sub(_blank, self.text)[last : self.close]:
                edits.append((last, last, ","))
        text = self.text
        # From the end backwards, so that earlier offsets stay valid; a comma comes after the value before it.
        for begin, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
            text = text[:begin] + new + text[end:]
        if Document.parse(text).values != {**self.values, **changes}:
            raise ValueError("the text cannot be edited in place")
        return text


def _blank(match: re.Match[str]) -> str:
    """Replace a comment or comma by blanks of the same length."""
    text = match[0]
    kept = text.startswith('"') or (text.startswith("/*") and (len(text) < 4 or not text.endswith("*/")))
    return text if kept else re.sub(r"[^\r\n]", " ", match[0])


def _after_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    assert found is not None
    return found.end()
