# SPDX-License-Identifier: MIT
"""Notes of the programs that stand in a build's way (`programs/`): how a Makefile called Kbuild, and missing programs.

They stand in a file of the copy, which the build itself could write too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

NOTES = ".r4l-calls"
"""File in the folder that the build sees, with the calls of Kbuild."""
MISSING = ".r4l-missing"
"""File beside it with the names of programs, one a line."""
PROGRAM = re.compile(r"[A-Za-z0-9][\w.+-]*")
CODE = re.compile(r"\d{1,3}", re.ASCII)
"""An exit code; Python reads no number of more than 4,300 digits."""
OTHER_TARGETS = frozenset(
    {"clean", "compile_commands.json", "help", "modules_prepare", "nsdeps", "prepare", "rust-analyzer", "scripts"}
)
"""Targets of Kbuild that make no module."""
LARGEST = 1 << 20
"""Number of characters that are read."""


@dataclass(frozen=True)
class KbuildCall:
    """A call of Kbuild by a folder's Makefile.

    Attributes:
        code: exit code.
        folder: folder that make built (`M=`).
        targets: targets of make; none for the default.
    """

    code: int
    folder: Path
    targets: tuple[str, ...]

    @property
    def modules(self) -> list[str]:
        """The modules that are targets: paths of .ko files from the folder."""
        return [name for name in self.targets if name.endswith(".ko")]

    @property
    def makes_modules(self) -> bool:
        """True if the call is one that makes modules, and not one that cleans or prepares."""
        return not self.targets or any(name not in OTHER_TARGETS for name in self.targets)


def kbuild_calls(output: Path) -> list[KbuildCall]:
    """Return the calls of Kbuild that were noted in a copy."""
    return [
        KbuildCall(int(words[1]), Path(os.path.normpath(words[2])), tuple(words[3].split()))
        for words in _lines(output / NOTES)
        if len(words) == 4 and words[0] == "kbuild" and CODE.fullmatch(words[1]) and words[2].startswith("/")
    ]


def missing_programs(output: Path) -> list[str]:
    """Return the names of the missing programs that a build in a copy has called, each once."""
    return list(dict.fromkeys(words[0] for words in _lines(output / MISSING) if PROGRAM.fullmatch("\t".join(words))))


def _lines(file: Path) -> list[list[str]]:
    """Return the words of each line of a file that a build may have written."""
    if file.is_symlink() or not file.is_file():
        return []
    with file.open(encoding="utf-8", errors="replace") as lines:
        # No path has a null character.
        return [line.split("\t") for line in lines.read(LARGEST).splitlines() if "\0" not in line]
