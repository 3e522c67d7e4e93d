# SPDX-License-Identifier: MIT
"""Files outside of a module's folder that its objects were made from.

make compares times only. A header outside that is replaced by an older one, or by one of the same time, is as old as
before to make, and the copy of the folder (`mirror.py`) does not have it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from r4l import home
from r4l.module.mirror import RECORD
from r4l.paths import followed, text_or_none
from r4l.walk import walk
from r4l.watchdog import CLOCK

DEPENDENCY = re.compile(r"^  ([^\s$\0][^\s\0]*)", re.MULTILINE)
"""A file in the list `deps_OBJECT := \\\\` of Kbuild's record of an object (scripts/basic/fixdep.c)."""
MOST = 20_000
"""Files of an object that are looked at; a stranger's Makefile can write any record."""

Stamp = list[int] | None
"""Times, size and inode of a file; None if it is missing, or was changed while the build ran."""
Noted = tuple[int, dict[str, Stamp]]
"""Time of Kbuild's record of an object, and the stamps of the files outside."""


@dataclass(frozen=True)
class OutsideSources:
    """The record of these files, kept from build to build. Use it with the lock of the output folder held.

    Attributes:
        folder: the module's folder.
        copies: copies of folders that the build writes to, by the folders.
        seen: the user's folders that the build sees.
        record: file with the record.
    """

    folder: Path
    copies: Mapping[Path, Path]
    seen: Sequence[Path]
    record: Path

    def forget_stale(self) -> None:
        """Remove the objects that a changed file outside was part of, and those that nothing is noted of."""
        known = self._known()
        for made, when in self._made():
            noted = known.get(str(made))
            if noted and noted[0] == when:
                stale = any(_stamp(name) != stamp for name, stamp in noted[1].items())
            else:
                stale = bool(self._outside(made))
            if stale:
                # A build may have put a folder there.
                home.remove(made.with_name(made.name[1:].removesuffix(".cmd")))
                home.remove(made)

    def note(self, begun: int) -> None:
        """Note the files outside of all objects.

        Args:
            begun: time of the build's begin in nanoseconds (`time.time_ns`).
        """
        known, found = self._known(), dict[str, Noted]()
        for made, when in self._made():
            noted = known.get(str(made))
            if noted is None or noted[0] != when:
                stamps = {name: _stamp(name) for name in self._outside(made)}
                late = [name for name, stamp in stamps.items() if stamp and stamp[-1] >= begun - CLOCK]
                noted = (when, {**stamps, **dict.fromkeys(late)})
            found[str(made)] = noted
        if found != known:
            home.replace_text(self.record, json.dumps(found))

    def _known(self) -> dict[str, Noted]:
        return _read(self.record)

    def _made(self) -> Iterator[tuple[Path, int]]:
        """Yield Kbuild's records of objects, with their times."""
        for copy in self.copies.values():
            for step in walk(copy):
                for entry in step.entries:
                    match = RECORD.fullmatch(entry.name)
                    if match and match[1].endswith(".o") and entry.is_file(follow_symlinks=False):
                        yield copy / step.inner / entry.name, entry.stat(follow_symlinks=False).st_mtime_ns

    def _outside(self, made: Path) -> list[str]:
        """Return the files outside that an object was made from, by Kbuild's record of it."""
        folder, copy = next((folder, copy) for folder, copy in self.copies.items() if made.is_relative_to(copy))
        inner = made.parent.relative_to(copy)
        # The compiler was called in the folder of a call of Kbuild, which is one of these.
        bases = [folder / inner, *((folder / inner).parents if inner.parts else ())][: len(inner.parts) + 1]
        named = dict.fromkeys(match[1] for match in DEPENDENCY.finditer(text_or_none(made)))
        paths = (os.path.normpath(base / name) for name in islice(named, MOST) for base in bases)
        return [path for path in dict.fromkeys(paths) if self._is_outside(path)]

    def _is_outside(self, path: str) -> bool:
        real = followed(Path(path))
        if real.is_relative_to(self.folder) and str(real) == path:
            return False
        return any(real.is_relative_to(followed(place)) for place in self.seen) and os.path.lexists(path)


def recorded(record: Path) -> list[Path]:
    """Return the files outside that a record of `OutsideSources` names."""
    return [Path(name) for _, stamps in _read(record).values() for name in stamps]


def _read(record: Path) -> dict[str, Noted]:
    data = home.record(record) or {}
    return {name: (when, stamps) for name, (when, stamps) in data.items()}


def _stamp(path: str) -> Stamp:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns]
