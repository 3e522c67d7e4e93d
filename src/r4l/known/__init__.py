# SPDX-License-Identifier: MIT
"""Recognise the field's known failures in the output of programs, and explain each by cause and remedy.

There is one table per kind of failure, beside this file: `build.toml` (make of a module), `load.toml` (insmod and
rmmod), `note.toml` (warnings of a build that succeeds), `rustavailable.toml` (the kernel's own check of the tools) and
`kdir.toml` (faults of a build folder, found by inspection, so without patterns).

An entry has a name, `pattern` (one regular expression or several; `^` and `$` match at lines), `cause` and `remedy`.
The pattern's named groups and the caller's facts fill the `{…}` in cause and remedy.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from r4l import tables

TABLES = ("build", "load", "note", "rustavailable", "kdir")
Order = Literal["position", "table"]


LONGEST_LINE = 2000
"""Characters of a line that are searched. The bound keeps a hostile Makefile's output from costing time."""


@dataclass(frozen=True)
class Explanation:
    """A recognised failure.

    Attributes:
        name: name of the entry in the table.
        cause: one sentence that says what is wrong.
        remedy: one sentence that says what to do.
        text: the matched words; empty for a failure found by inspection.
    """

    name: str
    cause: str
    remedy: str
    text: str = ""


@dataclass(frozen=True)
class KnownFailure:
    """An entry of a table.

    Attributes:
        name: unique in its table.
        patterns: regular expressions for the programs' output; one match suffices.
        cause, remedy: templates with `{…}` fields.
        lookup: name of the check that the caller makes before the entry applies (see `r4l.module.drift`); `kdir` if the
            state of the build folder may explain the failure better; `symvers` if no symbol in Module.symvers may be of
            the crate `hash`; `unseen` if the file has to be one that the user
            has and the build does not see (`r4l.module.unseen`).
    """

    name: str
    patterns: tuple[re.Pattern[str], ...]
    cause: str
    remedy: str
    lookup: str = ""

    def explain(self, facts: Mapping[str, object], text: str = "") -> Explanation:
        """Fill in the texts of the entry."""
        return Explanation(self.name, self.cause.format_map(facts), self.remedy.format_map(facts), text)


ERROR = {"name!": str, "pattern?": (str, [str]), "cause": str, "remedy": str, "lookup?": str}
"""Keys of a row."""


@cache
def table(table_name: str) -> tuple[KnownFailure, ...]:
    """Read the entries of one kind, in the order of their file."""
    name = f"{table_name}.toml"
    text = (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")
    data = tables.read(text, {"error": [ERROR]}, name)
    return tuple(_known(entry) for entry in data["error"])


def _known(entry: dict[str, str | list[str]]) -> KnownFailure:
    patterns = entry.get("pattern", [])
    return KnownFailure(
        str(entry["name"]),
        tuple(re.compile(p, re.MULTILINE) for p in ([patterns] if isinstance(patterns, str) else patterns)),
        str(entry["cause"]).strip(),
        str(entry["remedy"]).strip(),
        str(entry.get("lookup", "")),
    )


def bounded(text: str) -> str:
    """Cut each line of a text to `LONGEST_LINE` characters."""
    return "\n".join(line[:LONGEST_LINE] for line in text.split("\n"))


def matches(table_name: str, text: str, order: Order = "position") -> Iterator[tuple[KnownFailure, re.Match[str]]]:
    """Return an iterator over the entries that match, each once with its first match.

    Args:
        order: `position`: by place in the text, since the first error of a compiler counts most; `table`: by place in
            the file, which lists special entries before general ones.
    """
    text = bounded(text)
    found: list[tuple[KnownFailure, re.Match[str]]] = []
    for known in table(table_name):
        hits = [match for match in (pattern.search(text) for pattern in known.patterns) if match]
        if hits:
            found.append((known, min(hits, key=lambda match: match.start())))
    if order == "position":
        found.sort(key=lambda pair: pair[1].start())
    return iter(found)


def groups(match: re.Match[str]) -> dict[str, str]:
    """Return the named groups that took part in a match."""
    return {name: value for name, value in match.groupdict().items() if value is not None}


def explain(
    table_name: str, text: str, facts: Mapping[str, object] | None = None, order: Order = "position"
) -> Explanation | None:
    """Explain the first entry that matches; None if no known failure is in the text."""
    for known, match in matches(table_name, text, order):
        return known.explain({**(facts or {}), **groups(match)}, match[0])
    return None


def explain_entry(table_name: str, name: str, facts: Mapping[str, object] | None = None) -> Explanation:
    """Explain an entry that was recognised by other means than a text."""
    return next(known for known in table(table_name) if known.name == name).explain(facts or {})
