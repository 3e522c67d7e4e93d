# SPDX-License-Identifier: MIT
"""The user's files that a module's build sees, and the explanation for a file that it does not see.

A module may include files around its folder, so its build sees more than the folder, read-only: the git work tree that
the folder lies in, or without one the parent folder. The Makefile may be a stranger's, so a build never sees the user's
home as a whole, a folder that everybody can write to, or git's own folders, whose configuration may hold credentials.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

from r4l import home
from r4l.module.makefiles import ABOVE, is_makefile

GIT = ".git"
BEHIND_VARIABLE = re.compile(r"\$[({]\w+[)}]/([\w./+@-]+)")
"""Path behind a variable, which may hold the way up: `-I$(TOP)/include`."""
ABSOLUTE = re.compile(r"-I[ \t]*(/[\w./+@-]+)")
SOURCES = (".c", ".S", ".rs")


def visible(folder: Path) -> list[Path]:
    """Return the user's folders that a module's build sees.

    They are the git work tree around the folder, else its parent folder, else only the folder itself: a wider folder is
    not seen if it lies in the home of r4l (students' folders are built there), if everybody can write to it, or if the
    user's home or that of r4l would be seen as well.
    """
    wider = (work_tree(folder), folder.parent)
    return [next((place for place in wider if place and _is_open(place)), folder)]


def work_tree(folder: Path) -> Path | None:
    """Return the top of the git work tree that a folder lies in; None if there is none, or the folder is its top.

    As for git (safe.directory), the work tree has to belong to this user. For root, its `.git` has to belong to the
    owner of its top folder.
    """
    top = next((place for place in (folder, *folder.parents) if (place / GIT).exists()), folder)
    if top == folder:
        return None
    owner = (top / GIT).lstat().st_uid
    return top if owner == top.stat().st_uid and os.geteuid() in (0, owner) else None


def _is_open(place: Path) -> bool:
    shared = place == Path("/") or bool(place.stat().st_mode & stat.S_IWOTH)
    homes = (home.home().resolve(), Path.home().resolve())
    return not shared and not place.is_relative_to(homes[0]) and not any(h.is_relative_to(place) for h in homes)


def git_folders(place: Path, *, deep: bool) -> Iterator[Path]:
    """Yield git's own folder in a folder, as a path relative to it.

    Args:
        place: the folder.
        deep: True to yield those of the folders directly below, too.
    """
    inner = [GIT]
    if deep:
        with suppress(OSError), os.scandir(place) as entries:
            inner += [f"{entry.name}/{GIT}" for entry in entries if entry.is_dir(follow_symlinks=False)]
    for path in map(Path, inner):
        with suppress(OSError):
            if stat.S_ISDIR((place / path).lstat().st_mode):
                yield path


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
        file = next((file for file in (path, *(Path(f"{path}{end}") for end in SOURCES)) if file.is_file()), None)
        if file and not file.resolve().is_relative_to(root):
            return {"path": str(file), "found": str(root), "now": _remedy(folder, root, file)}
    return None


def _candidates(folder: Path, place: str, name: str) -> Iterator[Path]:
    """Yield the paths at which a missing file may lie, by the module's Makefiles."""
    bases = [(folder / place).parent, folder] if place else [folder]
    tops: list[Path] = []
    behind = [""]
    for makefile in _makefiles(folder):
        text = makefile.read_text(errors="replace", encoding="utf-8")
        tops += [base / match[0] for match in ABOVE.finditer(text) for base in (folder, makefile.parent)]
        tops += [Path(match[1]) for match in ABSOLUTE.finditer(text)]
        behind += BEHIND_VARIABLE.findall(text)
    for base in bases:
        yield Path(os.path.normpath(base / name))
    for top, inner in dict.fromkeys(product(tops, behind)):
        yield Path(os.path.normpath(top / inner / name))


def _makefiles(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if is_makefile(path.name) and path.is_file()]


def _remedy(folder: Path, root: Path, file: Path) -> str:
    common = Path(os.path.commonpath([folder, file]))
    fits = _is_open(common) and not any((place / GIT).exists() for place in _up_to(folder, common))
    copy = f"copy it into {root}"
    return f"make {common} a git work tree (`git init`), which a build sees as a whole; or {copy}" if fits else copy


def _up_to(folder: Path, top: Path) -> Iterable[Path]:
    return (place for place in (folder, *folder.parents) if place.is_relative_to(top))
