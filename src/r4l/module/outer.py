# SPDX-License-Identifier: MIT
"""Make's outer pass: the part of a Makefile that make runs before it calls Kbuild (`all: … $(MAKE) -C KDIR M=$(PWD)`).

Most outer passes only call Kbuild for the folder, as r4l does itself. One that does more is run: it may write headers,
export options, add flags to the call, or call Kbuild for other folders.
"""

from __future__ import annotations

import re
from pathlib import Path

from r4l.module.makefiles import MARK, expanded, folders_below, kbuild_of, texts

NAMES = ("GNUmakefile", "makefile", "Makefile")
"""Files that make reads, in its own order (GNU make's manual, "What Name to Give Your Makefile")."""
COMMENT = re.compile(r"(?<![\\\w'\"])#[^\n]*")
ELSEWHERE = re.compile(r"(?:^|[\s@])(?:-C|--directory)\b|\bcd[ \t]", re.MULTILINE)
EXTMOD = re.compile(r"(?<!\w)(?:M|SUBDIRS|KBUILD_EXTMOD)=")
RULE = re.compile(
    r"^(?P<targets>[^\s#=:][^#=:\n]*+)::?(?![=:])(?P<needs>[^=\n]*+)\n(?P<recipe>(?:(?:\t[^\n]*|[ \t]*)\n)*)",
    re.MULTILINE,
)
STEERS = re.compile(
    r"""^[ \t]*(?:
      (?:un)?export\b(?![ \t]+R4L_KIT\b)
    | \.EXPORT_ALL_VARIABLES | \.DEFAULT_GOAL | \$[({](?:shell|eval|call|foreach)\b
    | [^\s:=\#]+[ \t]*:[ \t]*(?:export[ \t]+|override[ \t]+)?\w+[ \t]*[:+?]?=
    | (?:PWD|CURDIR)[ \t]*[:?+]*=(?![ \t]*(?:\$\(shell[ ]pwd\)|`pwd`|\$\(CURDIR\))[ \t]*$)
    | (?:MAKE|MAKEFLAGS)[ \t]*[:?+]*=
    )""",
    re.MULTILINE | re.VERBOSE,
)
"""Statements by which an outer pass does more than its rules say, such as a variable for the programs that it calls."""
HARMLESS = (
    *("pwd", "uname", "dirname", "basename", "realpath", "readlink", "which", "command", "cat", "grep", "sed", "echo"),
    *("expr", "nproc", "date", "git", "python3 -c"),
)
"""Programs that only tell something."""
ACTS = re.compile(rf"\$[({{]shell[ \t]+(?!(?:{'|'.join(HARMLESS)})\b)")
"""Another program that make runs while it reads the Makefile."""
CALL = re.compile(r"^[-+@ \t]*(?:\$[({]MAKE[)}]|make)[ \t]+(?P<words>.*)$")
OWN = re.compile(r"(?<!\S)M=[\"']?(?:\$[({](?:PWD|CURDIR|shell pwd)[)}]|\$\$\{?PWD\}?|\$\$\(pwd\)|`pwd`)/?[\"']?(?!\S)")
USUAL = re.compile(r"-C|-j\d*|-s|--no-print-directory|(?:V|ARCH|CROSS_COMPILE)=\S*|modules")
SILENT = re.compile(r"^[-+@ \t]*(?:echo\b[^;&|<>`]*|true|:)?$")


def outer_pass(folder: Path) -> Path | None:
    """Return the Makefile of a folder if it calls Kbuild; None if r4l has to call it."""
    makefile = _makefile(folder)
    text = _text(makefile) if makefile else ""
    return makefile if ELSEWHERE.search(text) and EXTMOD.search(text) else None


def built_by(folder: Path) -> Path | None:
    """Return the file by which a folder's modules are built; None if it has none.

    It is a Kbuild, a Makefile with obj-m, or a Makefile that calls make for folders below, of which one is a module's.
    """
    kbuild = kbuild_of(folder)
    if kbuild:
        return kbuild
    makefile = _makefile(folder)
    return makefile if makefile and ELSEWHERE.search(_text(makefile)) and folders_below(folder) else None


def does_more(makefile: Path) -> bool:
    """Return True if the default goal of a Makefile does more than to call Kbuild for the Makefile's own folder."""
    text = _text(makefile)
    if STEERS.search(text) or ACTS.search(text):
        return True
    rules: dict[str, list[tuple[str, str]]] = {}
    for rule in RULE.finditer(text):
        for target in rule["targets"].split():
            rules.setdefault(target, []).append((rule["needs"], rule["recipe"]))
    goal = next((name for name in rules if not name.startswith(".") and "%" not in name), "")
    return not _only_calls(goal, rules)


def _only_calls(goal: str, rules: dict[str, list[tuple[str, str]]]) -> bool:
    """Return True if a goal, by one rule or several, calls Kbuild for the own folder and does nothing else."""
    done: set[str] = set()
    around: set[str] = set()
    todo = [(goal, False)]
    while todo:
        name, over = todo.pop()
        if over:
            around.remove(name)
            done.add(name)
        elif name in around or name not in rules:
            return False
        elif name not in done:
            recipes = [recipe for _, recipe in rules[name] if recipe.strip()]
            if len(recipes) > 1 or not all(_is_usual(line, name) for one in recipes for line in one.splitlines()):
                return False
            around.add(name)
            needs = [need for words, _ in rules[name] for need in words.split("#")[0].split()]
            todo += [(name, True), *((need, False) for need in needs)]
    return True


def _is_usual(line: str, goal: str) -> bool:
    """Return True for a command that calls Kbuild for the own folder, or prints a text."""
    if SILENT.match(line):
        return True
    call = CALL.match(line.strip())
    if not call or not OWN.search(call["words"]):
        return False
    words = expanded(OWN.sub("", call["words"]).replace("$@", goal)).replace("`uname -r`", MARK).split()
    given = [word for before, word in zip(["", *words], words, strict=False) if before != "-C"]
    return any(word.startswith("-C") for word in words) and all(
        USUAL.fullmatch(word) or word.startswith(f"-C{MARK}") for word in given
    )


def _makefile(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def _text(makefile: Path) -> str:
    return COMMENT.sub("", "\n".join(texts(makefile)) + "\n")
