# SPDX-License-Identifier: MIT
"""The lines of a Kconfig file, and whether a menu or a condition is around all of them."""

from __future__ import annotations

import re

LINE = re.compile(r"[^\n]*\n|[^\n]+")
WORD = re.compile(r"[ \t]*+([\w-]++)[ \t]*+([^\r\n]*+)")
OPENERS = ("menu", "if", "choice")
ENTRIES = ("config", "menuconfig", "choice", "comment", "menu", "if", "source", "rsource", "osource", "orsource")
HELP = ("help", "---help---")


def wrapped(text: str) -> int | None:
    """Return the offset of the last line, if that closes a menu or a condition around the whole file; else None.

    Around the whole file is one with no entry before it, but for the options that the condition is made of: an entry
    behind such a beginning is shown wherever those before it are.
    """
    last = len(text.rstrip()[: text.rstrip().rfind("\n") + 1])
    options: set[str] = set()
    # Each open menu or condition: its kind, and whether it is around all entries.
    around: list[tuple[str, bool]] = []
    closed: tuple[int, bool] | None = None
    for at, word, rest in statements(text):
        closed = None
        if word in ("endmenu", "endif", "endchoice"):
            if not around or around[-1][0] != word.removeprefix("end"):
                return None
            closed = at, around.pop()[1]
        elif word in OPENERS:
            condition = {*re.findall(r"\w+", rest.partition("#")[0])} if word == "if" else set()
            around.append((word, options <= condition))
        if word in ENTRIES:
            # Of other entries, the name is of no condition.
            options.add(name_of(rest) if word in ("config", "menuconfig") else f"-{word}")
    return last if not around and closed == (last, True) else None


def name_of(rest: str) -> str:
    """Return the option that the rest of a line with `config` names; empty if it names none."""
    match = re.match(r"\w+", rest)
    return match[0] if match else ""


def statements(text: str) -> list[tuple[int, str, str]]:
    """Return the offset, the first word and the rest of each line that is no comment, no help and no continuation."""
    found: list[tuple[int, str, str]] = []
    at = 0
    helping = continued = False
    column: int | None = None
    for line in LINE.findall(text):
        begin, at = at, at + len(line)
        if continued or not line.strip():
            continued = continued and line.rstrip("\r\n").endswith("\\")
            continue
        indent = len(line[: len(line) - len(line.lstrip())].expandtabs(8))
        # A help text ends with a line that is less indented than its first one (scripts/kconfig/lexer.l).
        if helping and indent and (column is None or indent >= column):
            column = indent if column is None else column
            continue
        helping, column = False, None
        continued = line.rstrip("\r\n").endswith("\\")
        if line.strip() in HELP:
            helping = True
        elif match := WORD.match(line):
            found.append((begin, match[1], match[2]))
        else:
            # A comment, or an assignment of a macro.
            continued = continued and not line.lstrip().startswith("#")
    return found
