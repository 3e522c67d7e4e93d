# SPDX-License-Identifier: MIT
"""Products that a killed make left behind.

A make that ends by a signal removes the targets that it works on. In the sandbox it is killed with all its processes,
and so may be r4l itself, or the machine. A file that an assembler had just begun is then newer than its sources, and
the record of the command of the run before (scripts/Kbuild.include) tells make that nothing is left to do. So a file
notes that make runs; where it is found later, all is removed that may not be complete.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from r4l.errors import BuildError
from r4l.limits import LimitExceeded
from r4l.paths import own_bytes
from r4l.walk import Visit, walk
from r4l.watchdog import CLOCK

RECORD = re.compile(r"\.(.+)\.cmd")
"""Name of the file in which Kbuild notes how it made another, once that is complete."""
DEPENDENCIES, END = b"\ndeps_", b"):\n"
"""Parts of a record with dependencies: one in it, and its end (scripts/basic/fixdep.c)."""
KEPT = ".mod.c"
"""End of the names of modpost's sources: they have no record, and `FolderMirror` removes them with what knows them."""


@contextmanager
def noted(mark: Path) -> Iterator[None]:
    """Note in a file that make runs. The note stays if make did not end by itself.

    Args:
        mark: the file, out of make's reach. The caller holds a lock on what make writes to.
    """
    mark.touch()
    try:
        yield
    except LimitExceeded:
        raise
    except BuildError:
        mark.unlink()
        raise
    mark.unlink()


def forget(mark: Path, folders: Iterable[Path], *, all_made: bool) -> None:
    """Remove the products in some folders that a make may not have completed, if it was killed. Call it while none
    runs.

    Args:
        mark: the file of `noted`.
        folders: folders that make wrote to.
        all_made: also files that Kbuild keeps no record of, as a Makefile's own rules make.
    """
    try:
        # A program can set any time but this one.
        begun = mark.stat().st_ctime_ns - CLOCK
    except FileNotFoundError:
        return
    for folder in folders:
        for visit in walk(folder):
            for name in _unfinished(visit, folder / visit.inner, begun, all_made):
                os.unlink(name, dir_fd=visit.folder)
    mark.unlink()


def _unfinished(visit: Visit, folder: Path, begun: int, all_made: bool) -> Iterator[str]:
    """Yield the names of the files in a folder that may not be complete."""
    files = {
        entry.name: entry.stat(follow_symlinks=False)
        for entry in visit.entries
        if not entry.is_dir(follow_symlinks=False)
    }
    new = {name for name, status in files.items() if status.st_ctime_ns >= begun}
    for name in new:
        record = f".{name}.cmd"
        if RECORD.fullmatch(name) or name.endswith(KEPT):
            continue
        if record not in files:
            if all_made:
                yield name
        elif files[record].st_mtime_ns < files[name].st_mtime_ns or not _is_whole(folder / record):
            yield name
            yield record
    for name in new:
        # The record of a target that was made before, or of none.
        match = RECORD.fullmatch(name)
        if match and match[1] not in new and not _is_whole(folder / name):
            yield name


def _is_whole(record: Path) -> bool:
    text = own_bytes(record) or b""
    return text.endswith(END if DEPENDENCIES in text else b"\n")
