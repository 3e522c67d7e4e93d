# SPDX-License-Identifier: MIT
"""Paths below a folder that a stranger names: in a table, by a link, by a folder's name."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from r4l.errors import UsageError
from r4l.paths import followed, is_below

LONGEST = 200
"""Maximum bytes of a part of a path: a file's name has 255, with what a temporary file adds to it."""
DEEPEST = 1000
"""Maximum bytes of a path below a folder: a whole path has 4096."""


def is_plain(path: str) -> bool:
    """True if a text is a path that stays below a folder, in its one spelling, and that patches and git can name."""
    parts = PurePosixPath(path).parts
    return (
        path == "/".join(parts)
        and bool(parts)
        and not path.startswith("/")
        and not {".", ".."} & {*parts}
        # git's own folder names programs that git runs.
        and ".git" not in path.lower().split("/")
        and path.isprintable()
        and not re.search(r'["\\]', path)
        and not too_long(path)
    )


def too_long(path: str) -> bool:
    """True if no system call takes a path, or the name of a temporary file beside it."""
    return len(os.fsencode(path)) > DEEPEST or any(len(os.fsencode(part)) > LONGEST for part in path.split("/"))


def require_plain(path: str, where: str) -> str:
    """Return a path of a table after checking that it stays below the folder that it is for (`is_plain`).

    Args:
        path: the path.
        where: the table's file.

    Raises:
        UsageError: the path could lead elsewhere.
    """
    if not is_plain(path):
        shown = path if len(path) <= LONGEST else f"{path[:LONGEST]}…"
        raise UsageError(
            f"{where}: {shown!a} is no path inside of a folder", "give one such as drivers/net/foo/main.rs"
        )
    return path


def inside(folder: Path, path: str) -> Path:
    """Return the file that a path below a folder leads to; neither need exist.

    Raises:
        UsageError: the path leads out of the folder, through a link or by itself, or into git's own folder.
    """
    top = followed(folder)
    real = followed(top / path)
    if not is_below(real, top):
        raise UsageError(f"{path} in {folder} leads to {real}", "replace the link by a file or folder of its own")
    if ".git" in real.parts[len(top.parts) :]:
        raise UsageError(f"{path} in {folder} is git's own", "give another place")
    return real
