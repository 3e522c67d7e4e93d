# SPDX-License-Identifier: MIT
"""JSON with comments and trailing commas, as VS Code's settings are written: read, and edited in place.

An edit changes the values that it is about and nothing else: comments, order and indentation stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What has no end is taken to the end of the text, and stays: each character is looked at once.
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*+"?|//[^\n]*|/\*(?:.*?\*/|.*+)', re.DOTALL)
STRING_OR_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*+"?|,(?=\s*[}\]])')
SPACE = re.compile(r"\s*")
INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """The text of one JSON object.

    Attributes:
        values: what it says.
        spans: by key of the outermost object, where its value begins and ends in the text.
        close: where the closing brace is.
    """

    text: str
    values: dict[str, Any]
    spans: dict[str, tuple[int, int]]
    close: int

    @classmethod
    def parse(cls, text: str) -> Document:
        """Read a text.

        Raises:
            ValueError: it is no JSON object, comments and trailing commas allowed.
        """
        # A byte order mark is one at the very beginning only; elsewhere it is a character.
        marked = text.startswith("\ufeff")
        plain = STRING_OR_TRAILING_COMMA.sub(_blank, STRING_OR_COMMENT.sub(_blank, " " + text[1:] if marked else text))
        if not isinstance(json.loads(plain), dict):
            raise ValueError("it is no JSON object")
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
        """The text with values of the outermost object replaced, or added before its closing brace.

        Raises:
            ValueError: the text was read, but is odder than its edit can cope with, as `{,}`.
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
        # From the end on, so that what comes before stays where it is; a comma after the value that it follows.
        for begin, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
            text = text[:begin] + new + text[end:]
        if Document.parse(text).values != {**self.values, **changes}:
            raise ValueError("it cannot be edited")
        return text


def _blank(match: re.Match[str]) -> str:
    """The same length of nothing for a comment or a comma."""
    text = match[0]
    kept = text.startswith('"') or (text.startswith("/*") and (len(text) < 4 or not text.endswith("*/")))
    return text if kept else re.sub(r"[^\r\n]", " ", match[0])


def _after_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    assert found is not None
    return found.end()
