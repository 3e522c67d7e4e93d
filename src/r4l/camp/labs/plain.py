# SPDX-License-Identifier: MIT
"""Check a student's Kbuild, Makefile and Kconfig: only plain lines are allowed.

make and Kconfig run shell commands while they parse such files, so a line is allowed only if a pattern here matches:
none can name a command, another file, or a variable other than CONFIG_….
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import BuildError

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
CONFIG = r"\$(?:\(CONFIG_[A-Z0-9_]+\)|\{CONFIG_[A-Z0-9_]+\})"
# Repetitions here are possessive (`*+`): without backtracking, the time is linear in the length of an untrusted line.
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


def file_syntax(name: str) -> str:
    """Return the syntax of a file, a key of `PLAIN`; empty for other files."""
    if name in ("Kbuild", "Makefile") or name.endswith(".mk"):
        return "make"
    return "Kconfig" if name.startswith("Kconfig") else ""


def refused(name: str, text: str) -> str:
    """Return the first line of a file that is not allowed, with its number; empty if all are, or for other files."""
    syntax = file_syntax(name)
    if not syntax:
        return ""
    # make and Kconfig end lines at newlines only; str.splitlines would split at other characters too.
    lines = text.split("\n")
    found = _make(lines) if syntax == "make" else _kconfig(lines)
    return next((f"{name}, line {number}: {line.strip()}" for number, line in found), "")


def require(file: Path) -> None:
    """Refuse a file with a line that is not allowed.

    Raises:
        BuildError: a line is not allowed; the message contains the first one.
    """
    found = refused(file.name, file.read_text(errors="replace", encoding="utf-8"))
    if found:
        raise BuildError(f"{found}: not allowed here", f"write {PLAIN[file_syntax(file.name)]}")


def _make(lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if CONTROL.search(line) or not (COMMENT.fullmatch(line) or MAKE.fullmatch(line)):
            yield number, line


def _kconfig(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not allowed. As in scripts/kconfig/lexer.l, a help text ends before a line that is
    indented less than its first.

    A first line without indentation would be help to Kconfig and a statement to this parser, so it is not allowed.
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
    """Return the width of the white space before a line."""
    width = 0
    for character in line[: len(line) - len(line.lstrip(" \t"))]:
        width = (width // TAB + 1) * TAB if character == "\t" else width + 1
    return width
