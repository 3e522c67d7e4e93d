# SPDX-License-Identifier: MIT
"""Builds that this process knows to be up to date: make needs a second to find out that there is nothing to do.

A build is known only after `remember`, and only as long as no file of its folders has changed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.module.modinfo import BuiltModule

Stamp = frozenset[tuple[str, int, int, int, int]]
"""Path, time, size, inode and its time, of each file that a build may read: a file that takes another's place may have
the other's time and size."""


NO_SOURCE = re.compile(r"(^|/)(test_[^/]*\.py|[^/]*_test\.py|conftest\.py|__pycache__|\.[^/]*)(/|$)")
"""Files that only pytest or an editor reads."""


def stamp(folders: Sequence[Path]) -> Stamp:
    """Return the present state of folders."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if NO_SOURCE.search(str(path.relative_to(folder))):
                continue
            # Not `stat`, which follows links: an editor's lock is a link to nowhere.
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                found.add((str(path), status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns))
    return frozenset(found)


@dataclass(frozen=True)
class LastBuild:
    """A build that is known.

    Attributes:
        folder: folder of the module.
        key: name of that build of the folder (`Module.key`).
        sources: folders that it was built from.
        stamp: state of these folders before the build.
        modules: modules that the build made.
    """

    folder: Path
    key: str
    sources: tuple[Path, ...]
    stamp: Stamp
    modules: tuple[BuiltModule, ...]

    @property
    def holds(self) -> bool:
        """True if a build would still give the same modules."""
        return all(module.path.is_file() for module in self.modules) and stamp(self.sources) == self.stamp


_known: dict[tuple[Path, str], LastBuild] = {}


def remember(known: LastBuild) -> None:
    """Have `recall` return a build from now on, as long as it holds."""
    _known[known.folder, known.key] = known


def recall(folder: Path, key: str) -> list[BuiltModule] | None:
    """Return the modules of that build of a folder, if they are known."""
    known = _known.get((folder, key))
    return list(known.modules) if known and known.holds else None
