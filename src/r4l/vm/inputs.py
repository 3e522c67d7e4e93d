# SPDX-License-Identifier: MIT
"""Record what a preparation uses of the host (`r4l.vm.watching`), and detect changes of it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r4l import home
from r4l.vm.fingerprint import is_library
from r4l.vm.watching import Uses, watched

NO_INPUT = tuple(map(Path, ("/proc", "/sys", "/dev")))
COMPILED = ".pyc"
Record = dict[str, Any]
STALE = "{}"
"""Text of a record that counts as changed."""


@contextmanager
def recorded(outputs: Sequence[Path], without: Collection[Path] = ()) -> Iterator[Record]:
    """Record what this thread, and those that it starts, use of the host during the context.

    Args:
        outputs: folders that are ignored, since the run itself wrote them.
        without: files that are ignored, since their content is known otherwise.

    Raises:
        UsageError: something was done whose inputs cannot be determined.
    """
    uses, record = Uses(), Record()
    with watched(uses):
        yield record
    if uses.refused:
        # The error at that moment was caught by the preparation.
        raise uses.refusal()
    inside = (*NO_INPUT, *(home.room(room) for room in ("runs", "locks", "snapshots")), *outputs)

    def inputs(names: set[str]) -> list[str]:
        paths = ((name, Path(name)) for name in sorted(names) if Path(name) not in without and not is_library(name))
        return [
            name
            for name, path in paths
            if path.suffix != COMPILED and not any(path.is_relative_to(folder) for folder in inside)
        ]

    record["files"] = {name: state for name in inputs(uses.opened) if (state := _file(name)) or name in uses.missed}
    record["seen"] = {name: _look(name) for name in inputs(uses.seen)}
    record["folders"] = {name: _names(name) for name in inputs(uses.listed)}
    record["variables"] = {name: os.environ.get(name) for name in sorted(uses.variables)}
    record["environment"] = _environment() if uses.whole_environment else None
    record["directory"] = os.getcwd() if uses.relative else None  # noqa: PTH109 (as a text)


def save(record: Record, into: Path) -> None:
    """Save a record."""
    home.replace_text(into, json.dumps(record))


def unchanged(noted: Path) -> bool:
    """True if all that the saved record names is unchanged. A missing record names nothing."""
    try:
        before: Record = json.loads(noted.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    if "files" not in before:
        # `STALE`, or the record of an older r4l, which noted less.
        return False
    return (
        all(_same(name, entry) for name, entry in before["files"].items())
        and all(_look(name) == entry for name, entry in before["seen"].items())
        and all(_names(name) == entry for name, entry in before["folders"].items())
        and all(os.environ.get(name) == value for name, value in before["variables"].items())
        and (before["environment"] is None or before["environment"] == _environment())
        and (before["directory"] is None or before["directory"] == os.getcwd())  # noqa: PTH109 (as above)
    )


def _same(name: str, before: list[Any] | None) -> bool:
    try:
        now = _stamp(name)
    except OSError:
        return before is None
    return before is not None and (now == before[:3] or (now[2] == before[2] and _file(name) == [*now, before[3]]))


def _file(name: str) -> list[Any] | None:
    """Return a file's state: time of its last change, size, permissions, hash. None if there is no file."""
    try:
        stamp = _stamp(name)
        return [*stamp, hashlib.sha256(Path(name).read_bytes()).hexdigest()]
    except OSError:
        return None


def _stamp(name: str) -> list[int]:
    status = Path(name).stat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(name)
    return [status.st_mtime_ns, status.st_size, stat.S_IMODE(status.st_mode)]


def _look(name: str) -> list[int] | None:
    """Return what a look at a path tells: kind, permissions, and of a file size and time, too. None if it is absent.

    A folder's time changes with its content, which is recorded where the folder is listed.
    """
    try:
        status = Path(name).lstat()
        if stat.S_ISLNK(status.st_mode):
            return [status.st_mtime_ns, *(_look(os.path.realpath(name)) or ())]
    except OSError:
        return None
    rest = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
    return [status.st_mode, *rest]


def _names(folder: str) -> list[list[Any]] | None:
    """Return the names in a folder, and whether each is a folder; None if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted([entry.name, entry.is_dir()] for entry in entries)
    except OSError:
        return None


def _environment() -> str:
    """Return a hash of all environment variables."""
    return hashlib.sha256(json.dumps(sorted(os.environ.items())).encode("utf-8", "surrogatepass")).hexdigest()
