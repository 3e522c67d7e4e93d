# SPDX-License-Identifier: MIT
"""Which entries of the home are in use, so that nobody removes what another process needs.

A process that uses an entry (a toolchain's tree, a kernel, a snapshot) holds a shared lock on the entry itself
(flock(2)), from its first use until the process ends, however it ends. Who removes it must have the exclusive lock.
The time of the last use is the entry's access time, set by hand: file systems that are mounted with `noatime` keep
what is set.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NOTED = 60.0
"""Seconds within which a further use is not noted again."""

LAUNCHERS = "complete"
"""The file in a Python environment by which the launcher says that it is whole."""

_held: dict[Path, int] = {}
"""What this process uses: a file descriptor for each, never closed but by `let_go`."""


def hold(path: Path) -> bool:
    """Use an entry from now on; nobody removes it while this process lives.

    Returns:
        False where there is no such entry (any more).
    """
    known = _held.get(path)
    if known is not None:
        return True
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        with contextlib.suppress(OSError):
            # A file system without locks has no cleaner either: it does not get its lock.
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
    """Use a folder from now on; made if missing, also where somebody removes it at this moment."""
    while not hold(folder):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)


def hold_environment() -> None:
    """Use the Python environment that this program runs in, where it is one that the launcher `r4l` made."""
    if (Path(sys.prefix) / LAUNCHERS).is_file():
        hold(Path(sys.prefix))


def let_go(path: Path) -> None:
    """Use an entry no more."""
    descriptor = _held.pop(path, None)
    if descriptor is not None:
        os.close(descriptor)


def note(path: Path) -> None:
    """Note that an entry was used just now, without holding it."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _note(descriptor)
        finally:
            os.close(descriptor)


def last_used(path: Path) -> float:
    """When an entry was last used or changed, in seconds since the epoch."""
    status = path.lstat()
    return max(status.st_atime, status.st_mtime)


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[bool]:
    """Whether nobody uses an entry; while the context lasts, nobody begins to."""
    # What this process itself held would be in its own way.
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


def users(path: Path) -> list[int]:
    """The processes that hold an entry, as far as the kernel tells (proc_locks(5)); empty where it does not."""
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    found = {int(field[4]) for field in fields if len(field) > 5 and field[1] == "FLOCK" and field[5] == device}
    return sorted(pid for pid in found if pid > 0)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether what is open still has that name."""
    opened = os.fstat(descriptor)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino)


def _note(descriptor: int) -> None:
    status = os.fstat(descriptor)
    if time.time() - status.st_atime > NOTED:
        # The home of another user can be used, or one that is mounted read-only, and not be noted in.
        with contextlib.suppress(OSError):
            os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))
