# SPDX-License-Identifier: MIT
"""States of the host's files and folders, for comparison: equal as long as nobody changes them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any


def stamp(name: str) -> list[int]:
    """Return a file's time of its last change, size and permissions.

    Raises:
        OSError: there is no such file.
    """
    status = Path(name).stat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(name)
    return [status.st_mtime_ns, status.st_size, stat.S_IMODE(status.st_mode)]


def look(name: str) -> list[int] | None:
    """Return what a look at a path tells: kind, permissions, and of a file size and time, too. None if it is absent.

    A folder's time changes with its content, which is recorded where the folder is listed.
    """
    try:
        status = Path(name).lstat()
        if stat.S_ISLNK(status.st_mode):
            return [status.st_mtime_ns, *(look(os.path.realpath(name)) or ())]
    except OSError:
        return None
    rest = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
    return [status.st_mode, *rest]


def stamp_or_none(name: str) -> list[int] | None:
    """Return a file's stamp; None if there is no file."""
    try:
        return stamp(name)
    except OSError:
        return None


def names(folder: str) -> list[list[Any]] | None:
    """Return the names in a folder, and whether each is a folder; None if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted([entry.name, entry.is_dir()] for entry in entries)
    except OSError:
        return None
