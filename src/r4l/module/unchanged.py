# SPDX-License-Identifier: MIT
"""Builds that this process knows to be up to date: make needs a second to find out that there is nothing to do.

A build is known only after `remember`, and only as long as no file has changed of all those that it may have read. make
tells of some of these only: not of what a Makefile reads by `$(shell …)`, or finds by `$(wildcard …)`. So they are all
files of the folders that the sandbox shows to the build (`Module.inputs`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.module.mirror import NEVER
from r4l.module.modinfo import BuiltModule
from r4l.walk import walk

Stamp = frozenset[tuple[str, int, int, int, int]]
"""Path, time, size, inode and its time, of each file that a build may read: a file that takes another's place may have
the other's time and size."""


NO_SOURCE = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py|\.#.*|\..*\.sw[a-z]|.*~")
"""Files that only pytest or an editor reads, by their names: Emacs' locks, vim's swap files, backups."""
OF_TOOLS = NEVER | {".cache", ".hypothesis", ".idea", ".mypy_cache", ".ruff_cache", ".vscode"}
"""Folders that tools keep for themselves."""
MOST = 10_000
"""Files that are looked at, which takes up to two tenths of a second; make takes a whole one."""


def stamp(folders: Sequence[Path], most: int = MOST) -> Stamp | None:
    """Return the present state of folders; None if they have more than `most` files."""
    found = set()
    for folder in folders:
        for step in walk(folder, skip=OF_TOOLS):
            place = f"{folder}/{step.inner}"
            for entry in step.entries:
                if NO_SOURCE.fullmatch(entry.name) or entry.is_dir(follow_symlinks=False):
                    continue
                try:
                    # Links are not followed: an editor's lock leads nowhere, and the build sees no file without a stamp
                    # of its own behind one.
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    # An editor's temporary file.
                    continue
                path = f"{place}/{entry.name}"
                found.add((path, status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns))
            if len(found) > most:
                return None
    return frozenset(found)


@dataclass(frozen=True)
class LastBuild:
    """A build that is known.

    Attributes:
        folder: folder of the module.
        key: name of that build of the folder (`Module.key`).
        sources: folders that it was built from.
        stamp: state of these folders before the build; None if it is not known.
        modules: modules that the build made.
    """

    folder: Path
    key: str
    sources: tuple[Path, ...]
    stamp: Stamp | None
    modules: tuple[BuiltModule, ...]

    @property
    def holds(self) -> bool:
        """True if a build would still give the same modules."""
        if self.stamp is None or not all(module.path.is_file() for module in self.modules):
            return False
        return stamp(self.sources) == self.stamp


_known: dict[tuple[Path, str], LastBuild] = {}


def remember(known: LastBuild) -> None:
    """Have `recall` return a build from now on, as long as it holds."""
    _known[known.folder, known.key] = known


def recall(folder: Path, key: str) -> list[BuiltModule] | None:
    """Return the modules of that build of a folder, if they are known."""
    known = _known.get((folder, key))
    return list(known.modules) if known and known.holds else None
