# SPDX-License-Identifier: MIT
"""Patterns for how the kernel's complaints begin, go on and end; read from kinds.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from r4l import resources

_FLAGS = (
    "weak",
    "tentative",
    "outer",
    "deep",
    "single",
    "ruled",
    "wide",
    "merges",
    "alone",
    "bare",
    "chained",
    "met",
    "warns",
)
_KIND = {
    "name": str,  # A kind may have several rows.
    "patterns": [str],
    **{f"{key}?": str for key in ("culprit", "prefix", "trace")},
    **{f"{key}?": [str] for key in ("files", "functions", "words")},
    **{f"{flag}?": bool for flag in _FLAGS},
}
_SHAPE = {
    "kind": [_KIND],
    "death": [{"of!": str, "patterns": [str]}],
    "sections": {"begin": [str], "end": [str]},
    "torn": {"begin": [str], "certain": [str]},
    "fold": {"noise": [str]},
    **{key: {"patterns": [str]} for key in ("continuation", "evidence", "anywhere", "tasks")},
}
_FILE = resources.table(__package__, "kinds.toml", _SHAPE)
_TABLE = _FILE["kind"]
_WARN_AT = r"WARNING: (?:CPU: \d+ PID: -?\d+ |\[.{{1,200}}\] )?(?:at )?(?:/\S*/)?(?:{files}):\d{functions}"


def _pattern(entry: dict[str, list[str]]) -> str:
    functions = entry.get("functions")
    named = rf"+ (?:at )?(?:{'|'.join(functions)})(?:\.\w+)*\+0x" if functions else ""
    at = _WARN_AT.format(files="|".join(entry.get("files", ())), functions=named)
    return "|".join(pattern.replace("{at}", at) for pattern in entry["patterns"])


def _named(flag: str) -> frozenset[str]:
    return frozenset(entry["name"] for entry in _TABLE if entry.get(flag))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


@dataclass(frozen=True, slots=True)
class Headline:
    """Pattern for the first line of a complaint. kinds.toml describes the flags."""

    kind: str
    pattern: re.Pattern[str]
    weak: bool
    tentative: bool
    outer: bool
    deep: bool
    merges: bool
    single: bool
    met: bool
    culprit: re.Pattern[str] | None


HEADLINES = tuple(
    Headline(
        entry["name"],
        re.compile(_pattern(entry)),
        weak=entry.get("weak", False),
        tentative=entry.get("tentative", False),
        outer=entry.get("outer", False),
        deep=entry.get("deep", False),
        merges=entry.get("merges", False),
        single=entry.get("single", False),
        met=entry.get("met", False),
        culprit=re.compile(entry["culprit"]) if "culprit" in entry else None,
    )
    for entry in _TABLE
)
"""All headlines; the first match counts."""
_DEATH = _any(f"(?P<{entry['of']}>{'|'.join(entry['patterns'])})" for entry in _FILE["death"])
RULED = _named("ruled")
WIDE = _named("wide")
ALONE = _named("alone")
BARE = _named("bare")
CHAINED = _named("chained")
WARNS = _named("warns")
"""Kinds whose complaints end with a WARN()."""
SECTIONED = _named("ruled") | _named("wide")
"""Kinds that continue after their first call trace."""
PREFIX = {entry["name"]: re.compile(entry["prefix"]) for entry in _TABLE if "prefix" in entry}
"""Kinds whose lines all begin with the same pattern."""
TRACE = {entry["name"]: re.compile(entry["trace"]) for entry in _TABLE if "trace" in entry}
"""Kinds with one trace that matters more than the others."""
NOISE = re.compile("(?:" + "|".join(_FILE["fold"]["noise"]) + ")$")
"""Functions of the kernel that tell nothing about a complaint."""
BELONGS = _any(_FILE["continuation"]["patterns"])
"""Lines that belong to a complaint even after its end mark or call trace."""
EVIDENCE = _any(_FILE["evidence"]["patterns"])
"""Lines that confirm a tentative headline before them."""
TORN_BEGIN = _any(_FILE["torn"]["begin"])
"""Lines with which a log can begin in the middle of a report."""
TORN_CERTAIN = _any(_FILE["torn"]["certain"])
"""Lines that only a complaint has."""
ANYWHERE = _any(_FILE["anywhere"]["patterns"])
"""Words that are the kernel's wherever they stand in a line."""
SECTION_BEGIN = _any(_FILE["sections"]["begin"])
SECTION_END = _any(_FILE["sections"]["end"])

TASKS = tuple(re.compile(pattern) for pattern in _FILE["tasks"]["patterns"])
"""Lines that name a task, with groups `name` and `pid` and, in some, `cpu`."""

_NARROW = re.compile(r"\s*(?:" + "|".join(_pattern(entry) for entry in _TABLE if not entry.get("words")) + ")")
_WIDE = re.compile(r"\s*(?:" + "|".join(_pattern(entry) for entry in _TABLE if entry.get("words")) + ")")
_WORDS = re.compile("|".join(re.escape(word) for entry in _TABLE for word in entry.get("words", ())))

TORN = "torn"
"""Kind of a complaint whose headline is missing."""
CUT_HERE = "------------[ cut here ]------------"
LOCKS_WARN = "DEBUG_LOCKS_WARN_ON("
"""Begin of a message of a WARN() (include/linux/debug_locks.h)."""
END = re.compile(r"---\[ end (?:trace|Kernel panic)")
TRACE_END = "</TASK>"
_GLUED = ("Call Trace:", "Call trace:")
RULE = re.compile(r"={20,}$")


@lru_cache(256)
def headline(text: str) -> Headline | None:
    """Return the headline that a line matches, or None."""
    if not begins(text):
        return None
    text = text.lstrip()
    return next(each for each in HEADLINES if each.pattern.match(text))


def begins(text: str) -> bool:
    """True if a line matches any headline; a fast test that rejects most lines."""
    return bool(_NARROW.match(text)) or (_WORDS.search(text) is not None and bool(_WIDE.match(text)))


def classify(text: str) -> str | None:
    """Return the kind of complaint that a line begins, or None."""
    found = headline(text)
    return found.kind if found else None


def opens_trace(text: str) -> bool:
    """True if a call trace begins after a line, also where the words for that stand at the end of another message's
    line, which had no end of its own."""
    return SECTION_BEGIN.match(text.lstrip()) is not None or text.endswith(_GLUED)


def death(text: str) -> str:
    """Return what died according to a line of a complaint: `machine`, `task`, or empty for nothing."""
    match = _DEATH.match(text.lstrip())
    return (match.lastgroup or "") if match else ""
