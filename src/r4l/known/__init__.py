# SPDX-License-Identifier: MIT
"""The known failures of the field: recognised in what the real programs print, told as cause and remedy.

One table per kind of failure, beside this file: `build.toml` (make of a module), `load.toml` (insmod and rmmod),
`note.toml` (warnings of a build that succeeds), `rustavailable.toml` (the kernel's own check of the tools) and
`kdir.toml` (what is wrong with a build folder; found by looking, so without patterns).

An entry has a name, `pattern` (one regular expression or several; `^` and `$` match at lines), `cause` and `remedy`.
The named groups of the pattern and the caller's facts fill the `{…}` of both texts.
"""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

KINDS = ("build", "load", "note", "rustavailable", "kdir")
Order = Literal["position", "table"]


LONGEST_LINE = 2000
"""Characters of a line that are looked at. A stranger's Makefile prints what it likes."""


@dataclass(frozen=True)
class Explanation:
    """A failure that was recognised.

    Attributes:
        name: of the entry in the table.
        cause: one sentence, what is wrong.
        remedy: one sentence, what to do about it.
        text: the words that it was recognised by; empty where it was found by looking.
    """

    name: str
    cause: str
    remedy: str
    text: str = ""


@dataclass(frozen=True)
class Known:
    """An entry of a table.

    Attributes:
        name: unique in its table.
        patterns: what the programs print; any of them will do.
        cause, remedy: templates.
        lookup: what the caller must find out beyond the pattern before the entry applies (see `r4l.module.drift`);
            `kdir` for a failure that the state of the build folder may explain better.
    """

    name: str
    patterns: tuple[re.Pattern[str], ...]
    cause: str
    remedy: str
    lookup: str = ""

    def explain(self, facts: Mapping[str, object], text: str = "") -> Explanation:
        """The entry with its texts filled in."""
        return Explanation(self.name, self.cause.format_map(facts), self.remedy.format_map(facts), text)


@cache
def table(kind: str) -> tuple[Known, ...]:
    """The entries of one kind, in the order of their file."""
    data = tomllib.loads((importlib.resources.files(__package__) / f"{kind}.toml").read_text(encoding="utf-8"))
    return tuple(_known(entry) for entry in data["error"])


def _known(entry: dict[str, str | list[str]]) -> Known:
    patterns = entry.get("pattern", [])
    return Known(
        str(entry["name"]),
        tuple(re.compile(p, re.MULTILINE) for p in ([patterns] if isinstance(patterns, str) else patterns)),
        str(entry["cause"]).strip(),
        str(entry["remedy"]).strip(),
        str(entry.get("lookup", "")),
    )


def bounded(text: str) -> str:
    """A text with its long lines cut: what programs say of a failure is said in the first `LONGEST_LINE` characters."""
    return "\n".join(line[:LONGEST_LINE] for line in text.split("\n"))


def matches(kind: str, text: str, order: Order = "position") -> Iterator[tuple[Known, re.Match[str]]]:
    """The entries that match, each once with its first match.

    Args:
        order: `position`: what the text says first comes first (the first error of a compiler is the one that counts);
            `table`: the file's order (the special before the general).
    """
    text = bounded(text)
    found: list[tuple[Known, re.Match[str]]] = []
    for known in table(kind):
        hits = [match for match in (pattern.search(text) for pattern in known.patterns) if match]
        if hits:
            found.append((known, min(hits, key=lambda match: match.start())))
    if order == "position":
        found.sort(key=lambda pair: pair[1].start())
    return iter(found)


def groups(match: re.Match[str]) -> dict[str, str]:
    """The named groups that took part in a match."""
    return {name: value for name, value in match.groupdict().items() if value is not None}


def explain(
    kind: str, text: str, facts: Mapping[str, object] | None = None, order: Order = "position"
) -> Explanation | None:
    """The first entry that matches, told; None where nothing known is in the text."""
    for known, match in matches(kind, text, order):
        return known.explain({**(facts or {}), **groups(match)}, match[0])
    return None


def named(kind: str, name: str, facts: Mapping[str, object] | None = None) -> Explanation:
    """An entry that was recognised by other means than a text."""
    return next(known for known in table(kind) if known.name == name).explain(facts or {})
