# SPDX-License-Identifier: MIT
"""What this process knows to be built: make takes a second to find out that there is nothing to do.

Nothing is known unless somebody remembers it here, and it holds only as long as no file of the folders has changed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.module.modinfo import BuiltModule

Stamp = frozenset[tuple[str, int, int]]
"""Path, time of change and size of each file that a build may read."""


NO_SOURCE = re.compile(r"(^|/)(test_[^/]*\.py|[^/]*_test\.py|conftest\.py|__pycache__|\.[^/]*)(/|$)")
"""What only pytest or an editor reads."""


def stamp(folders: Sequence[Path]) -> Stamp:
    """How folders are at this moment."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if NO_SOURCE.search(str(path.relative_to(folder))):
                continue
            # Without following it: an editor's lock is a link to nowhere.
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                found.add((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)


@dataclass(frozen=True)
class LastBuild:
    """What was built.

    Attributes:
        folder: the module's.
        key: name of that build of the folder (`Module.key`).
        sources: the folders that it was built from.
        stamp: how they were before the build.
        modules: what came of it.
    """

    folder: Path
    key: str
    sources: tuple[Path, ...]
    stamp: Stamp
    modules: tuple[BuiltModule, ...]

    @property
    def holds(self) -> bool:
        """Whether that still is what a build would give."""
        return all(module.path.is_file() for module in self.modules) and stamp(self.sources) == self.stamp


_known: dict[tuple[Path, str], LastBuild] = {}


def remember(known: LastBuild) -> None:
    """From now on, `recall` gives it, as long as it holds."""
    _known[known.folder, known.key] = known


def recall(folder: Path, key: str) -> list[BuiltModule] | None:
    """The modules of that build of a folder, where they are known."""
    known = _known.get((folder, key))
    return list(known.modules) if known and known.holds else None
