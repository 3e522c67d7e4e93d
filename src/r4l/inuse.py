# SPDX-License-Identifier: MIT
"""Mark entries of the home as in use, so that no other process removes them.

A process that uses an entry (a toolchain's tree, a kernel, a snapshot) holds a shared lock on the entry itself
(flock(2)) from its first use until its end, however it ends. Removal requires the exclusive lock. The time of last use
is the entry's access time, set explicitly: file systems mounted with `noatime` keep it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import EnvironmentFault

NOTED = 60.0
"""Seconds within which a further use is not recorded again."""

LAUNCHERS = "complete"
"""File in a Python environment by which the launcher marks it as complete."""

_held: dict[Path, int] = {}
"""Entries used by this process, each with an open descriptor that only `let_go` closes."""


def hold(path: Path) -> bool:
    """Mark an entry as used until this process ends; return False if the entry does not exist."""
    known = _held.get(path)
    if known is not None:
        if _is_at(known, path):
            return True
        # Removed by this process itself: nobody else may.
        let_go(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        with contextlib.suppress(OSError):
            # On a file system without locks, nothing is removed either: the exclusive lock fails too.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_at(descriptor, path):
            os.close(descriptor)
            return False
        _note(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    _held[path] = descriptor
    return True


def make(folder: Path) -> None:
    """Create a folder if missing, and mark it as used. A removal by another process at the same time is handled."""
    while not hold(folder):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)


def hold_environment() -> None:
    """Mark the Python environment of this program as used if the launcher `r4l` made it."""
    if (Path(sys.prefix) / LAUNCHERS).is_file():
        hold(Path(sys.prefix))


def let_go(path: Path) -> None:
    """End the use of an entry."""
    descriptor = _held.pop(path, None)
    if descriptor is not None:
        os.close(descriptor)


def note(path: Path) -> None:
    """Record the use of an entry at this time, without holding it."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _note(descriptor)
        finally:
            os.close(descriptor)


def last_used(path: Path) -> float:
    """Return the time of an entry's last use or change, in seconds since the epoch.

    Raises:
        FileNotFoundError: the entry does not exist.
    """
    status = path.lstat()
    return max(status.st_atime, status.st_mtime)


def names(folder: Path) -> list[str]:
    """Return the sorted names in a folder, whose time of last use stays.

    Where the system keeps access times, any other way to read a folder is a use of it (O_NOATIME, open(2)).
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags | os.O_NOATIME)
    except PermissionError:
        # The folder is another user's, and only the owner may ask for that.
        descriptor = os.open(folder, flags)
    try:
        return sorted(os.listdir(descriptor))  # noqa: PTH208 (a Path has no such descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[bool]:
    """Lock an entry against use; yield True if no process uses it."""
    # A new descriptor also conflicts with a shared lock of this process itself.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield _is_at(descriptor, path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def but_here(path: Path) -> Iterator[bool]:
    """Lock an entry against use by other processes; yield True if none of them uses it. This process may use it.

    Raises:
        FileNotFoundError: the entry does not exist.
    """
    mine = path in _held
    let_go(path)
    try:
        with exclusively(path) as alone:
            yield alone
    finally:
        if mine:
            hold(path)


def by_others(path: Path) -> bool:
    """True if another process uses an entry."""
    try:
        with but_here(path) as alone:
            return not alone
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def withdrawn(path: Path, name: str, remedy: str) -> Iterator[None]:
    """Keep other processes from an entry that this one replaces, if it exists.

    Args:
        name: words for the entry.
        remedy: for the error.

    Raises:
        EnvironmentFault: another process uses the entry.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            if not stack.enter_context(but_here(path)):
                raise EnvironmentFault(f"{name} cannot be replaced: {by_whom(path)}", remedy)
        yield


def by_whom(path: Path) -> str:
    """Return a clause that names the processes which use an entry."""
    found = ", ".join(map(str, users(path)))
    return f"used by process {found}" if found else "another process uses it"


def users(path: Path) -> list[int]:
    """Return the processes that hold an entry, as far as the kernel lists them (proc_locks(5)); none if it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    found = {int(field[4]) for field in fields if len(field) > 5 and field[1] == "FLOCK" and field[5] == device}
    return sorted(pid for pid in found if pid > 0)


def _is_at(descriptor: int, path: Path) -> bool:
    """True if an open file still has the given path."""
    opened = os.fstat(descriptor)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino)


def _note(descriptor: int) -> None:
    status = os.fstat(descriptor)
    if time.time() - status.st_atime > NOTED:
        # Recording the use fails in another user's home, or in one mounted read-only.
        with contextlib.suppress(OSError):
            os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))
