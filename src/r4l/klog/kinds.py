# SPDX-License-Identifier: MIT
"""How the kernel's complaints begin, go on and end. The kinds are data: kinds.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from r4l import resources

_FILE = resources.table(__package__, "kinds.toml")
_TABLE = _FILE["kind"]
_WARN_AT = r"WARNING: (?:CPU: \d+ PID: -?\d+ |\[.{{1,200}}\] )?(?:at )?(?:/\S*/)?(?:{files}):\d"


def _pattern(entry: dict[str, list[str]]) -> str:
    at = _WARN_AT.format(files="|".join(entry.get("files", ())))
    return "|".join(pattern.replace("{at}", at) for pattern in entry["patterns"])


def _named(flag: str) -> frozenset[str]:
    return frozenset(entry["name"] for entry in _TABLE if entry.get(flag))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


@dataclass(frozen=True, slots=True)
class Headline:
    """How a complaint may begin; see kinds.toml for what the words mean."""

    kind: str
    pattern: re.Pattern[str]
    weak: bool
    tentative: bool
    outer: bool
    deep: bool
    culprit: re.Pattern[str] | None


HEADLINES = tuple(
    Headline(
        entry["name"],
        re.compile(_pattern(entry)),
        weak=entry.get("weak", False),
        tentative=entry.get("tentative", False),
        outer=entry.get("outer", False),
        deep=entry.get("deep", False),
        culprit=re.compile(entry["culprit"]) if "culprit" in entry else None,
    )
    for entry in _TABLE
)
"""The first that matches counts."""
_DEATH = _any(f"(?P<{entry['of']}>{'|'.join(entry['patterns'])})" for entry in _FILE["death"])
SINGLE = _named("single")
RULED = _named("ruled")
WIDE = _named("wide")
MERGES = _named("merges")
ALONE = _named("alone")
BARE = _named("bare")
SECTIONED = _named("ruled") | _named("wide")
"""Kinds of which more follows the first call trace."""
PREFIX = {entry["name"]: re.compile(entry["prefix"]) for entry in _TABLE if "prefix" in entry}
"""Kinds of which every line begins in the same way."""
TRACE = {entry["name"]: re.compile(entry["trace"]) for entry in _TABLE if "trace" in entry}
"""Kinds of which one trace matters more than that of the report."""
NOISE = re.compile("(?:" + "|".join(_FILE["fold"]["noise"]) + ")$")
"""Functions of the kernel that say nothing about a complaint."""
BELONGS = _any(_FILE["continuation"]["patterns"])
"""Lines that belong to a complaint even after its end mark or its call trace."""
EVIDENCE = _any(_FILE["evidence"]["patterns"])
"""Lines that show that a headline before them was one."""
SECTION_BEGIN = _any(_FILE["sections"]["begin"])
SECTION_END = _any(_FILE["sections"]["end"])

TASKS = tuple(re.compile(pattern) for pattern in _FILE["tasks"]["patterns"])
"""Lines that name a task, as groups `name` and `pid`, and some its `cpu`."""

ANY = re.compile(r"\s*(?:" + "|".join(each.pattern.pattern for each in HEADLINES) + ")")
"""Any headline: most lines are told to be none by this alone."""

CUT_HERE = "------------[ cut here ]------------"
END = re.compile(r"---\[ end (?:trace|Kernel panic)")
TRACE_END = "</TASK>"
RULE = re.compile(r"={20,}$")


@lru_cache(256)
def headline(text: str) -> Headline | None:
    """The headline that a line is, or None."""
    if not ANY.match(text):
        return None
    text = text.lstrip()
    return next(each for each in HEADLINES if each.pattern.match(text))


def classify(text: str) -> str | None:
    """The kind of complaint that a line begins, or None."""
    found = headline(text)
    return found.kind if found else None


def death(text: str) -> str:
    """The death that a line of a complaint shows: of the `machine`, of a `task`; empty where it shows none."""
    match = _DEATH.match(text.lstrip())
    return (match.lastgroup or "") if match else ""
