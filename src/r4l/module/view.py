# SPDX-License-Identifier: MIT
"""The user's files that a module's build sees.

A module may include files around its folder, so its build sees more than the folder, read-only: the git work tree that
the folder lies in, or without one the parent folder. The Makefile may be a stranger's, so a build never sees the user's
home as a whole, a folder that everybody can write to, or git's own folders, whose configuration may hold credentials.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from r4l import home

GIT = ".git"


def visible(folder: Path) -> list[Path]:
    """Return the user's folders that a module's build sees.

    They are the git work tree around the folder, else its parent folder, else only the folder itself: a wider folder is
    not seen if it lies in the home of r4l (students' folders are built there), if everybody can write to it, or if the
    user's home or that of r4l would be seen as well.
    """
    wider = (work_tree(folder), folder.parent)
    return [next((place for place in wider if place and is_open(place)), folder)]


def work_tree(folder: Path) -> Path | None:
    """Return the top of the git work tree that a folder lies in; None if there is none, or the folder is its top.

    As for git (safe.directory), the work tree has to belong to this user. For root, its `.git` has to belong to the
    owner of its top folder.
    """
    top = top_of(folder)
    return None if top == folder else top


def top_of(folder: Path) -> Path | None:
    """Return the top of the git work tree that a folder lies in, which may be the folder; None if there is none."""
    top = next((place for place in (folder, *folder.parents) if (place / GIT).exists()), None)
    if top is None:
        return None
    owner = (top / GIT).lstat().st_uid
    return top if owner == top.stat().st_uid and os.geteuid() in (0, owner) else None


def is_open(place: Path) -> bool:
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
