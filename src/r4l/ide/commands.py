# SPDX-License-Identifier: MIT
"""The commands that compile each object of a build: recorded by Kbuild, or printed by a dry run.

Kbuild writes the command of each object beside it (`.main.o.cmd`, first line `savedcmd_main.o := …`); a dry run prints
the same command as the third argument of scripts/basic/fixdep, without compiling anything (scripts/Kbuild.include).
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from r4l.paths import leads_to_file, leads_to_folder
from r4l.walk import files_below

SAVED = re.compile(r"^(?:saved)?cmd_(\S+\.o) := (.*)")
RECORD = re.compile(r"\..+\.o\.cmd")
"""Name of the file with the command of an object."""
ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
FIXDEP = "scripts/basic/fixdep"


@dataclass(frozen=True)
class CompileCommand:
    """The command that compiles one object.

    Attributes:
        folder: working folder; relative paths start there.
        made: folder with the files that the build made, if that is another one.
        target: the object, relative to `folder`.
        text: the command line for the shell.
    """

    folder: Path
    target: str
    text: str
    made: Path | None = None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Words of the compiler's own command, environment first.

        Commands after a `;`, such as objtool, are left out. Of a command that no shell takes, for a quote without its
        other end, the words are those between blanks.
        """
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError:
            words = self.text.split()
        return tuple(itertools.takewhile(lambda word: word not in (";", "&&", "||"), words))

    @cached_property
    def environment(self) -> dict[str, str]:
        """Variables set before the program's name."""
        found: dict[str, str] = {}
        for word in self.words:
            match = ASSIGNMENT.match(word)
            if not match:
                break
            found[match[1]] = match[2]
        return found

    @property
    def argv(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return self.words[len(self.environment) :]

    @cached_property
    def source(self) -> Path | None:
        """The C or Rust file to compile, which is the last argument of Kbuild's commands; None for other objects."""
        last = self.argv[-1] if self.argv else ""
        return self.place(last) if last.endswith((".c", ".rs")) else None

    def place(self, path: str) -> Path:
        """File or folder that the command names: the user's own, or else one that the build made."""
        own = self.folder / path
        return self.made / path if self.made and not (leads_to_file(own) or leads_to_folder(own)) else own

    @property
    def language(self) -> str:
        """`c`, `rust`, or empty for other objects."""
        if self.source is None:
            return ""
        return "rust" if self.source.suffix == ".rs" else "c"


def recorded(folder: Path, seen: Path | None = None) -> Iterator[CompileCommand]:
    """Yield the recorded commands of the objects built in a folder and below it.

    Args:
        folder: folder with the objects.
        seen: path that the folder had during the build, if that was another one.
    """
    for file in files_below(folder, RECORD.fullmatch):
        if os.path.islink(file) or not leads_to_file(file):  # noqa: PTH114 (an error for a long path)
            continue
        with file.open(errors="surrogateescape", encoding="utf-8") as lines:
            match = SAVED.match(lines.readline())
        if match:
            yield CompileCommand(seen or folder, match[1], _from_make(match[2]), folder if seen else None)


def planned(dry_run: str, folder: Path, made: Path | None = None) -> Iterator[CompileCommand]:
    """Yield the commands that `make --dry-run` printed for the objects that it would build.

    Args:
        dry_run: make's output.
        folder: folder that make ran in.
        made: folder with the files that the build made, if that is another one.
    """
    for line in dry_run.splitlines():
        _before, found, after = line.rpartition(FIXDEP)
        words = _split(after) if found and after.startswith(" ") else []
        if len(words) >= 3 and words[1].endswith(".o"):
            yield CompileCommand(folder, words[1], _from_make(words[2]), made)


def _split(text: str) -> list[str]:
    """Return the words of a shell's command; none if a quote has no other end."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def latest(*sources: Iterable[CompileCommand]) -> dict[str, CompileCommand]:
    """Return the commands by object; later sources override earlier ones."""
    return {command.target: command for source in sources for command in source}


def _from_make(text: str) -> str:
    """Undo the escapes that Kbuild writes for make (`make-cmd` in scripts/Kbuild.include)."""
    return text.replace("$(pound)", "#").replace("$$", "$")
