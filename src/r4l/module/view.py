# SPDX-License-Identifier: MIT
"""The user's files that a module's build sees.

A module may include files around its folder, so its build sees more than the folder, read-only: the git work tree that
the folder lies in, or without one the parent folder. The Makefile may be a stranger's, so a build never sees the user's
home as a whole, a folder that everybody can write to, or git's own folders, whose configuration may hold credentials.
These are looked for in all folders that it would see; where there are too many, it sees the module's folder only.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from r4l import home
from r4l.module.places import builds_of

GIT = ".git"
OF_REPOSITORY = ("HEAD", "objects", "refs")
"""Entries by which git knows a folder as its own (is_git_directory of its source)."""
MOST_FOLDERS, MOST_REPOSITORIES = 20_000, 200
"""Folders in which git's own are looked for, three times those of the kernel's source; and those that are hidden, each
by a mount."""
AGAIN = 2.0
"""Seconds for which a search holds."""
RECENT = 1_000_000_000
"""Nanoseconds."""

_last: dict[Path, tuple[float, tuple[Path, ...] | None]] = {}


def visible(folder: Path) -> list[Path]:
    """Return the user's folders that a module's build sees.

    They are the git work tree around the folder, else its parent folder, else only the folder itself: a wider folder is
    not seen if it lies in the home of r4l (students' folders are built there), if everybody can write to it, or if the
    user's home or that of r4l would be seen as well, or if it has too many folders to look for git's own.
    """
    wider = (work_tree(folder), folder.parent)
    place = next((place for place in wider if place and is_open(place)), folder)
    return [folder if place != folder and repositories(place, note_for(folder)) is None else place]


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


def note_for(folder: Path) -> Path:
    """Return the file for the record of `repositories` of a module's folder."""
    return builds_of(folder) / "around.json"


def repositories(place: Path, note: Path) -> tuple[Path, ...] | None:
    """Return git's own folders in a folder and all below it: `.git`, and those without a work tree, whatever they are
    called; None if there are too many folders, or repositories, to hide them.

    Args:
        place: the folder.
        note: file with a record of what was found before, written if the folder that it lies in exists.
    """
    last = _last.get(place)
    if last and time.monotonic() - last[0] < AGAIN:
        return last[1]
    known = home.record(note) or {}
    search = _Search(known.get(str(place), {}))
    found = search.run(str(place))
    if search.changed and note.parent.is_dir():
        # Another build may write it, too.
        with suppress(OSError):
            home.replace_text(note, json.dumps({str(place): search.seen}))
    result = None if found is None else tuple(map(Path, found))
    _last[place] = (time.monotonic(), result)
    return result


class _Search:
    """A search for git's folders, which lists those folders only that have changed since the last one.

    Args:
        known: record of the last one: time, names of the folders in it, and whether it is git's own, for each folder.
    """

    def __init__(self, known: Mapping[str, tuple[int, list[str], bool]]) -> None:
        self._known = known
        self._recent = time.time_ns() - RECENT
        self.seen: dict[str, tuple[int, list[str], bool]] = {}
        self.changed = False

    def run(self, top: str) -> list[str] | None:
        """Return git's folders; None if there are too many of them, or of others."""
        found: list[str] = []
        waiting = [top]
        while waiting:
            if len(self.seen) >= MOST_FOLDERS or len(found) > MOST_REPOSITORIES:
                return None
            here = waiting.pop()
            with suppress(OSError):
                _, inner, is_gits = self.seen[here] = self._look(here)
                if is_gits and here != top:
                    found.append(here)
                    continue
                found += [f"{here}/{GIT}"] if GIT in inner else []
                waiting += [f"{here}/{name}" for name in inner if name != GIT]
        return found

    def _look(self, folder: str) -> tuple[int, list[str], bool]:
        changed = Path(folder).stat().st_mtime_ns
        known = self._known.get(folder)
        if known and known[0] == changed:
            return known
        names, inner = set(), []
        with os.scandir(folder) as entries:
            for entry in entries:
                names.add(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
        self.changed = True
        # Within one tick of the clock, more may come.
        return (changed if changed < self._recent else 0), inner, names.issuperset(OF_REPOSITORY)


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
