# SPDX-License-Identifier: MIT
"""The explanation for a file that a module's build does not see although the user has it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice, product
from pathlib import Path

from r4l.module.makefiles import ABOVE, is_makefile
from r4l.module.view import GIT, is_open, visible
from r4l.paths import followed, leads_to_file, text_or_none
from r4l.walk import files_below

BEHIND_VARIABLE = re.compile(r"\$[({]\w+[)}]/([\w./+@-]+)")
"""Path behind a variable, which may hold the way up: `-I$(TOP)/include`."""
ABSOLUTE = re.compile(r"-I[ \t]*(/[\w./+@-]+)")
SOURCES = (".c", ".S", ".rs")
MOST = 1000
"""Paths of each kind that are taken from a Makefile; a stranger's may name any number."""
TRIED = 20_000
"""Paths that are tried."""


def unseen(folder: Path, place: str, name: str) -> dict[str, str] | None:
    """Explain a file that a build did not find although the user has it.

    Args:
        folder: folder of the module.
        place: file that names the missing file, as the error has it; empty if unknown.
        name: the missing file, as the error has it; of an object, without `.o`.

    Returns:
        `path`: the file; `found`: the folder that the build sees; `now`: the remedy. None if no such file is outside of
        the folders that the build sees.
    """
    (root,) = visible(folder)
    for path in _candidates(folder, place, name):
        file = next((file for file in (path, *(Path(f"{path}{end}") for end in SOURCES)) if leads_to_file(file)), None)
        if file and not followed(file).is_relative_to(root):
            return {"path": str(file), "found": str(root), "now": _remedy(folder, root, file)}
    return None


def _candidates(folder: Path, place: str, name: str) -> Iterator[Path]:
    """Yield the paths at which a missing file may lie, by the module's Makefiles."""
    bases = [(folder / place).parent, folder] if place else [folder]
    tops: list[Path] = []
    behind = [""]
    for makefile in _makefiles(folder):
        text = text_or_none(makefile)
        above = dict.fromkeys(match[0] for match in ABOVE.finditer(text))
        tops += [base / way for way in islice(above, MOST) for base in (folder, makefile.parent)]
        tops += map(Path, islice(dict.fromkeys(ABSOLUTE.findall(text)), MOST))
        behind += islice(dict.fromkeys(BEHIND_VARIABLE.findall(text)), MOST)
    for base in bases:
        yield Path(os.path.normpath(base / name))
    for top, inner in islice(product(dict.fromkeys(tops), dict.fromkeys(behind)), TRIED):
        yield Path(os.path.normpath(top / inner / name))


def _makefiles(folder: Path) -> list[Path]:
    return [path for path in files_below(folder, is_makefile) if leads_to_file(path)]


def _remedy(folder: Path, root: Path, file: Path) -> str:
    common = Path(os.path.commonpath([folder, file]))
    fits = is_open(common) and not any((place / GIT).exists() for place in _up_to(folder, common))
    copy = f"copy it into {root}"
    return f"make {common} a git work tree (`git init`), which a build sees as a whole; or {copy}" if fits else copy


def _up_to(folder: Path, top: Path) -> Iterable[Path]:
    return (place for place in (folder, *folder.parents) if place.is_relative_to(top))
