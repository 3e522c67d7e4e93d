# SPDX-License-Identifier: MIT
"""All folders below one, however deep, and whatever a stranger's program has put there.

Folders are entered by descriptors and left by `..`: a path of more than 4096 bytes cannot be named (PATH_MAX), links
are never followed, and neither the program's stack nor the number of its descriptors grows with the depth.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OWNERS = 0o700


@dataclass(frozen=True)
class Visit:
    """A folder that was entered or left. All that it has is valid until the next step.

    Attributes:
        folder: descriptor of the folder that was entered; else that of the folder around the one that was left or is
            closed, -1 if that is the top.
        names: names of the folders on the way to `folder`.
        entries: content of the folder that was entered.
        left: name of the folder that was left.
        closed: name of a folder that this user may not enter or list.
    """

    folder: int
    names: list[str]
    entries: Sequence[os.DirEntry[str]] = ()
    left: str = ""
    closed: str = ""

    @property
    def inner(self) -> str:
        """The path from the top to `folder`."""
        return "/".join(self.names)


def walk(top: Path, *, force: bool = False, skip: Container[str] = ()) -> Iterator[Visit]:
    """Enter a folder and all below it, and leave each one after those in it.

    A folder that vanishes meanwhile is passed over, and so is one that is moved.

    Args:
        top: the folder; nothing is yielded if it is missing.
        force: give the owner's rights to the owner of each folder that lacks them.
        skip: names of folders that are not entered.
    """
    names: list[str] = []
    try:
        here = _opened(top, None, force)
    except PermissionError:
        yield Visit(-1, names, closed=".")
        return
    except OSError:
        return
    marks = [_mark(here)]
    waiting: list[list[str]] = []
    try:
        entered = True
        while True:
            if entered:
                entries = _listed(here)
                inner_names = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
                waiting.append([name for name in inner_names if name not in skip])
                yield Visit(here, names, entries)
            entered = False
            if waiting[-1]:
                name = waiting[-1].pop()
                try:
                    inner = _opened(name, here, force)
                except PermissionError:
                    yield Visit(here, names, closed=name)
                    continue
                except OSError:
                    continue
                os.close(here)
                here, entered = inner, True
                names.append(name)
                marks.append(_mark(here))
                continue
            waiting.pop()
            marks.pop()
            if not waiting:
                return
            left = names.pop()
            above = _above(here, top, names, marks[-1])
            while above is None:
                # That folder is no longer where it was.
                waiting.pop()
                marks.pop()
                if not waiting:
                    return
                left = ""
                names.pop()
                above = _above(here, top, names, marks[-1])
            os.close(here)
            here = above
            if left:
                yield Visit(here, names, left=left)
    finally:
        os.close(here)


def files_below(top: Path, fits: Callable[[str], object]) -> list[Path]:
    """Return the paths of all that is no folder below one, sorted, if their names fit. They may be links or pipes."""
    return sorted(
        top / visit.inner / entry.name
        for visit in walk(top)
        for entry in visit.entries
        if fits(entry.name) and not entry.is_dir(follow_symlinks=False)
    )


def _opened(name: str | Path, around: int | None, force: bool) -> int:
    """Open a folder that can be listed and searched.

    Raises:
        OSError: there is no such folder, or not for this user.
    """
    try:
        folder = os.open(name, OPEN, dir_fd=around)
    except PermissionError:
        if not force:
            raise
        path = os.open(name, os.O_PATH | OPEN, dir_fd=around)
        try:
            # fchmod(2) refuses such a descriptor.
            Path(f"/proc/self/fd/{path}").chmod(OWNERS)
        finally:
            os.close(path)
        folder = os.open(name, OPEN, dir_fd=around)
    try:
        if force and os.fstat(folder).st_mode & OWNERS != OWNERS:
            with contextlib.suppress(PermissionError):
                os.fchmod(folder, OWNERS)
        # Without the right to search it, there is no way back either.
        os.stat(".", dir_fd=folder)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _listed(folder: int) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _mark(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _above(here: int, top: Path, names: Sequence[str], mark: tuple[int, int]) -> int | None:
    """Open the folder around one; None if it is not there any more, for a program may move folders meanwhile."""
    with contextlib.suppress(OSError):
        above = os.open("..", OPEN, dir_fd=here)
        if _mark(above) == mark:
            return above
        os.close(above)
    with contextlib.suppress(OSError):
        above = os.open(top, OPEN)
        for name in names:
            try:
                inner = os.open(name, OPEN, dir_fd=above)
            finally:
                os.close(above)
            above = inner
        if _mark(above) == mark:
            return above
        os.close(above)
    return None
