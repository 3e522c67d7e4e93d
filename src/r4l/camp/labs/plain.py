# SPDX-License-Identifier: MIT
"""What is taken of a student's Kbuild, Makefile and Kconfig: plain lines.

make and Kconfig run shell commands while they read such a file, so a line is taken only where a pattern here has it:
none of them can name a command, another file, or a variable that is not CONFIG_….
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import BuildError

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
CONFIG = r"\$(?:\(CONFIG_[A-Z0-9_]+\)|\{CONFIG_[A-Z0-9_]+\})"
# A repetition here is possessive (`*+`): it gives nothing back, so a line is looked at once, however long it is. A
# stranger writes it.
MAKE = re.compile(
    rf"""\ *+
    obj-(?:[ymn]|{CONFIG})
    [ \t]*+ [+:?]?= [ \t]*+
    (?: [A-Za-z_][\w.-]*+ (?: [ \t]++ | (?= \#) | $ ) )*+     # names without a folder
    (?: \#[^$\\]*+ )?""",
    re.VERBOSE | re.ASCII,
)
COMMENT = re.compile(r"[ \t]*+(?:#[^$\\]*+)?")

_EXPRESSION = r"""[\w \t()&|!=<>"'-]++"""
_TEXT = r"""(?:"[^"'$\\]*+"|'[^"'$\\]*+')"""
KCONFIG = re.compile(
    rf"""[ \t]*+
    (?: (?:menu)?config [ \t]++ \w++
      | (?:bool|tristate|int|hex|string) (?: [ \t]++ {_TEXT} )? (?: [ \t]++ if [ \t]++ {_EXPRESSION} )?
      | prompt [ \t]++ {_TEXT} (?: [ \t]++ if [ \t]++ {_EXPRESSION} )?
      | (?:default|def_bool|def_tristate|depends[ \t]++on|select|imply) [ \t]++ {_EXPRESSION}
      | if [ \t]++ {_EXPRESSION} | endif
      | help )
    [ \t]*+ (?: \#.*+ )?""",
    re.VERBOSE | re.ASCII,
)
TAB = 8

PLAIN = {
    "make": "lines such as `obj-m := NAME.o`, with no variable but $(CONFIG_NAME)",
    "Kconfig": "config, its type and prompt, depends on, default, select, if, help; no $ and no backslash",
}


def language(name: str) -> str:
    """In which of the two languages a file is written: a key of `PLAIN`; empty for files of others."""
    if name in ("Kbuild", "Makefile") or name.endswith(".mk"):
        return "make"
    return "Kconfig" if name.startswith("Kconfig") else ""


def refused(name: str, text: str) -> str:
    """The first line of a file that is not taken, with its number; empty where all are, or it is no such file."""
    kind = language(name)
    if not kind:
        return ""
    # Python would split at more than they do.
    lines = text.split("\n")
    found = _make(lines) if kind == "make" else _kconfig(lines)
    return next((f"{name}, line {number}: {line.strip()}" for number, line in found), "")


def require(file: Path) -> None:
    """Refuse a file that has other lines.

    Raises:
        BuildError: it has; with the first.
    """
    found = refused(file.name, file.read_text(errors="replace", encoding="utf-8"))
    if found:
        raise BuildError(f"{found}: not taken here", f"write {PLAIN[language(file.name)]}")


def _make(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if CONTROL.search(line) or not (COMMENT.fullmatch(line) or MAKE.fullmatch(line)):
            yield number, line


def _kconfig(lines: list[str]) -> Iterator[tuple[int, str]]:
    """As scripts/kconfig/lexer.l has it: a help text ends before a line that is indented less than its first.

    A first line that is not indented would be help to Kconfig, and a statement to us: such a text is not taken.
    """
    within, first = False, 0
    for number, line in enumerate(lines, 1):
        if CONTROL.search(line) or "$" in line or "\\" in line:
            yield number, line
            continue
        if within and line.strip(" \t"):
            indent = _indent(line)
            if not indent and not first:
                yield number, line
            first = first or indent
            within = 0 < first <= indent
        if within or COMMENT.fullmatch(line):
            continue
        if not KCONFIG.fullmatch(line):
            yield number, line
        within, first = line.split("#")[0].split() == ["help"], 0


def _indent(line: str) -> int:
    """The width of the white space before a line."""
    width = 0
    for character in line[: len(line) - len(line.lstrip(" \t"))]:
        width = (width // TAB + 1) * TAB if character == "\t" else width + 1
    return width
