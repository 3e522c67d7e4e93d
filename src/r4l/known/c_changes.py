# SPDX-License-Identifier: MIT
"""Recognise changes of the kernel's C API in messages of gcc, clang and modpost. The tables are in c_api/, one for each
area.

The table lists each change and its kind; `c_messages` reads the compilers' messages. An entry applies to a kernel only
if its proof stands in that kernel's source: a kernel older than a change is not matched.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from r4l import tables
from r4l.known.c_messages import (
    ARGUMENT,
    COUNT,
    DESIGNATED,
    IN_MACRO,
    INCOMPLETE,
    NEAR,
    NO_MEMBER,
    NOPROF,
    OPAQUE,
    POINTER,
    QUOTED,
    READ_ONLY,
    SOURCE_LINE,
    SYNTAX,
    TAGGED,
    VALUE,
    VOID,
    gone_header,
    names_called,
    names_of_members,
    normal,
    quoted_types,
    source_line,
    undeclared,
    undefined_symbol,
    words_of,
    wrong_argument,
    wrong_function,
)

ChangeKind = Literal[
    "header", "member", "readonly", "value", "call", "callback", "name", "include", "export", "makefile"
]
CHANGE_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
"""Kinds in the order of recognition: the special before the general."""


@dataclass(frozen=True)
class CApiChange:
    """An entry of the table, which describes the attributes.

    Attributes:
        since: the release that brought the change, or those between which it came (`LAST..FIRST`, see `when`); empty if
            nothing is known, or not the same for all names.
        since_of: names, each with the release that changed it.
        type: types of the function that a callback must have, or of the argument that a call takes.
    """

    kind: ChangeKind
    old: tuple[str, ...]
    now: str
    proof: tuple[str, str]
    since: str = ""
    since_of: tuple[tuple[str, str], ...] = ()
    of: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    result: str = ""
    syntax: bool = False

    @property
    def id(self) -> str:
        """The name of the entry: its kind and its first name."""
        inner = f"{self.of[0]}." if self.of else ""
        return f"{self.kind} {inner}{self.old[0]}"

    def place(self, source: Path) -> str:
        """Return the proof of the entry in a kernel's source as `FILE:LINE`; empty if the source lacks the proof."""
        name, words = self.proof
        file = source / name
        if not file.is_file():
            return ""
        head, found, _ = file.read_text(errors="replace", encoding="utf-8").partition(words)
        return f"{name}:{head.count(chr(10)) + 1}" if found else ""

    def expected(self, name: str) -> str:
        """Describe what the module expects."""
        owner = f" of `struct {self.of[0]}`" if self.of else ""
        return {
            "header": f"<{name}>",
            "member": f"`{name}`{owner}",
            "readonly": f"`{name}`{owner}, assigned to",
            "call": f"`{name}` with other arguments" if not self.result else f"`{name}` with a result",
            "callback": f"`{name}`{owner} with another type",
            "export": f"`{name}`, exported to modules",
            "value": f"`{name}` of another type",
            "include": f"`{name}` without its own header",
        }.get(self.kind, f"`{name}`")

    def found(self, name: str, release: str) -> str:
        """Describe what this kernel has instead, and since which release."""
        since = when(dict(self.since_of).get(name, self.since))
        said = {
            "header": f"Linux {release} does not have it",
            "member": f"Linux {release} does not have it",
            "name": f"Linux {release} does not have it",
            "readonly": "it is const",
            "value": f"it is a `{self.type[0]}`" if self.type else "it has changed",
            "call": "they changed" if not self.result else "it returns nothing",
            "callback": "it takes " + (f"`{self.type[0]}`" if "(*)" in self.type[0] else "others")
            if self.type
            else "it changed",
            "export": f"Linux {release} has it for itself alone",
            "include": "others no longer include that",
            "makefile": f"Kbuild of Linux {release} no longer reads",
        }[self.kind]
        if not since:
            return said
        return f"{said} ({'gone ' if self.kind in ('header', 'member', 'name') else ''}{since})"


def when(since: str) -> str:
    """Say when a change came; empty for one whose release is not known.

    Args:
        since: the release that brought the change; or `LAST..FIRST`, the last release that is known to have the old
            form and the first one known to lack it, without `LAST` where no release is known to have it.
    """
    last, several, first = since.partition("..")
    if several:
        return f"after Linux {last}, in {first} at the latest" if last else f"in Linux {first} at the latest"
    return f"since Linux {since}" if since else ""


TEXTS = (str, [str])
ROW = {"old": TEXTS, "since?": (str, {"*": str}), "now": str, "proof": [str]}
"""Keys of every row."""
MORE: dict[str, dict[str, Any]] = {
    "member": {"of": TEXTS},
    "readonly": {"of": TEXTS},
    "value": {"type": TEXTS},
    "callback": {"of": TEXTS, "type": TEXTS},
    "call": {"argument?": TEXTS, "syntax?": bool, "result?": str},
}
"""Further keys of the rows of a kind."""


@cache
def table() -> dict[ChangeKind, tuple[CApiChange, ...]]:
    """Read the entries by kind, in the order of the files' names and in each in the order of the file."""
    shape = {f"{kind}?": [{**ROW, **MORE.get(kind, {})}] for kind in CHANGE_KINDS}
    entries: dict[ChangeKind, list[CApiChange]] = {kind: [] for kind in CHANGE_KINDS}
    for file in sorted((importlib.resources.files(__package__) / "c_api").iterdir(), key=lambda file: file.name):
        data = tables.read(file.read_text(encoding="utf-8"), shape, f"c_api/{file.name}")
        for kind in CHANGE_KINDS:
            entries[kind] += [_change(kind, entry) for entry in data.get(kind, [])]
    return {kind: tuple(found) for kind, found in entries.items()}


@cache
def _with_words() -> dict[ChangeKind, tuple[tuple[CApiChange, frozenset[str]], ...]]:
    """Return the entries, each with the words of its names."""
    return {kind: tuple((change, words_of(" ".join(change.old))) for change in table()[kind]) for kind in CHANGE_KINDS}


def _change(kind: ChangeKind, entry: dict[str, Any]) -> CApiChange:
    def several(key: str) -> tuple[str, ...]:
        value = entry.get(key, [])
        return (value,) if isinstance(value, str) else tuple(value)

    file, words = entry["proof"]
    types = several("type") + several("argument")
    since = entry.get("since", "")
    one, each = ("", tuple(since.items())) if isinstance(since, dict) else (since, ())
    result, syntax = entry.get("result", ""), entry.get("syntax", False)
    return CApiChange(
        kind, several("old"), entry["now"], (file, words), one, each, several("of"), types, result, syntax
    )


def recognise(error: str) -> Iterator[tuple[CApiChange, str]]:
    """Yield the entries that explain an error, each with the name in the module that it concerns; the likeliest first.

    Args:
        error: one error of gcc, clang or modpost, from its first line to the last line of its notes.
    """
    error = normal(error)
    head, _, _ = error.partition("\n")
    words = words_of(error)
    for kind, recogniser in RECOGNISERS.items():
        for change, names in _with_words()[kind]:
            # The type alone tells a callback; everything else is named.
            name = "" if kind != "callback" and words.isdisjoint(names) else recogniser(change, head, error)
            if name:
                yield change, name


def _is_header(change: CApiChange, head: str, error: str) -> str:
    header = gone_header(head)
    return header if header in change.old else ""


def _is_member(change: CApiChange, head: str, error: str) -> str:
    opaque = OPAQUE.search(head)
    if opaque and opaque["struct"] in change.of:
        return next((old for old in change.old if old in names_of_members(source_line(error))), "")
    match = NO_MEMBER.search(head)
    if not match:
        return ""
    name = next(filter(None, match.groups()), "")
    types = [found for found in quoted_types(head) if found != name]
    if not name:
        # Clang names the type and not the member.
        name = next((old for old in change.old if old in names_of_members(source_line(error))), "")
    if name not in change.old:
        return ""
    return name if not types or set(types) & set(change.of) else ""


def _is_read_only(change: CApiChange, head: str, error: str) -> str:
    if not READ_ONLY.search(head):
        return ""
    seen = {word for quoted in QUOTED.findall(head) for word in words_of(quoted)}
    if not seen & set(change.old):
        seen = set(names_of_members(source_line(error)))
    return next((old for old in change.old if old in seen), "")


def _is_value(change: CApiChange, head: str, error: str) -> str:
    if not VALUE.search(head) or (wrong_function(error) and "(*)" not in "".join(change.type)):
        return ""
    types = " ".join(_plain(quoted) for quoted in QUOTED.findall(error))
    words = [words_of(source_line(error)), *(words_of(line) for line in SOURCE_LINE.findall(error))]
    name = next((old for old in change.old for found in words if old in found), "")
    return name if not QUOTED.search(head) or any(_plain(text) in types for text in change.type) else ""


def _is_call(change: CApiChange, head: str, error: str) -> str:
    called = next((old for old in change.old if old in names_called(source_line(error))), "")
    if change.syntax:
        return called if SYNTAX.search(head) else ""
    if change.result:
        return called if VOID.search(head) else ""
    if COUNT.search(head):
        named = re.search(r"""(?:function|macro) ['"](\w+)['"]""", head)
        told = {named[1]} if named else set(re.findall(r"(?:macro )?'(\w+)' (?:declared|defined) here", error))
        told |= set(IN_MACRO.findall(error)) if told else set()
        told |= {name.removesuffix(NOPROF) for name in told}
        return next((old for old in change.old if old in told), "") or (called if not told else "")
    if change.type and ARGUMENT.search(head):
        wanted = {_plain(text) for text in QUOTED.findall(error)}
        if wanted & {_plain(text) for text in change.type}:
            return next((old for old in change.old if old in words_of(error)), "")
    return ""


def _is_callback(change: CApiChange, head: str, error: str) -> str:
    match = POINTER.search(head)
    if not match:
        return ""
    wanted = match["gcc"] or match["clang"]
    types = {_plain(text) for text in (wanted, *QUOTED.findall(f"{match['aka'] or ''}{match['also'] or ''}"))}
    if not any(_plain(text) in types or ("(*)" not in text and text in wanted) for text in change.type):
        return ""
    # After an unknown member, gcc names the following members wrongly; the names in the module's source are right.
    written = set(DESIGNATED.findall(source_line(error)))
    everywhere = {name for line in SOURCE_LINE.findall(error) for name in DESIGNATED.findall(line)}
    members = written or {*NEAR.findall(error), *everywhere}
    return next((old for old in change.old if old in members), "" if members else change.old[0])


def _is_name(change: CApiChange, head: str, error: str) -> str:
    name = undeclared(head)
    if name and name in change.old:
        return name
    undefined = undefined_symbol(head)
    if undefined:
        return undefined if undefined in change.old else ""
    line = source_line(error)
    if ARGUMENT.search(head):
        types = wrong_argument(error)
        given = TAGGED.findall(types[1]) if types else []
        return next((tag for tag in given if tag in change.old), "")
    if INCOMPLETE.search(head) or name:
        tagged = [*(tag for quoted in QUOTED.findall(head) for tag in TAGGED.findall(quoted)), *TAGGED.findall(line)]
        found = next((tag for tag in tagged if tag in change.old), "")
        if found:
            return found
    if SYNTAX.search(head):
        words = words_of(line)
        return next((old for old in change.old if old in words), "")
    return ""


def _is_include(change: CApiChange, head: str, error: str) -> str:
    name = undeclared(head)
    return name if name in change.old else ""


def _is_export(change: CApiChange, head: str, error: str) -> str:
    name = undefined_symbol(head) or undeclared(head)
    return name if name in change.old else ""


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """Normalise a type's text, so that gcc's and clang's spellings are equal."""
    for long, short in (
        ("long long unsigned int", "unsigned long long"),
        ("long unsigned int", "unsigned long"),
        ("short unsigned int", "unsigned short"),
        ("long int", "long"),
        ("long long int", "long long"),
        ("enum irqreturn", "irqreturn_t"),
    ):
        text = text.replace(long, short)
    return re.sub(r"\s+", "", text)


RECOGNISERS: dict[ChangeKind, Callable[[CApiChange, str, str], str]] = {
    "header": _is_header,
    "member": _is_member,
    "readonly": _is_read_only,
    "value": _is_value,
    "call": _is_call,
    "callback": _is_callback,
    "name": _is_name,
    "include": _is_include,
    "export": _is_export,
}


def makefile_variables(text: str) -> Iterator[tuple[CApiChange, str]]:
    """Yield the entries for variables that a makefile sets or passes to make and that Kbuild does not read.

    Args:
        text: content of a Makefile or Kbuild.
    """
    for change in table()["makefile"]:
        for old in change.old:
            # Of one line each: blanks that may be line ends would be looked at again from every blank line.
            if re.search(rf"^(?![ \t]*#)(?:.*[ \t;])?{old}[ \t]*[:+?]?=", text, re.MULTILINE):
                yield change, old
