# SPDX-License-Identifier: MIT
"""Check of the files that a build left in its folder, before any of them is read: a Makefile can put links and pipes
there as well as files.

The build itself sees nothing outside, but programs that read its products do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from r4l.errors import BuildError
from r4l.paths import followed
from r4l.walk import walk


def require_own(output: Path, seen: Iterable[Path] = ()) -> None:
    """Refuse a folder with anything but files, folders, and links that stay in it or lead to files that the build could
    read, which git's own are not.

    Args:
        output: folder that a build has written to.
        seen: folders that the build could read.

    Raises:
        BuildError: the folder has another kind of entry; its path is named.
    """
    places = [folder.resolve() for folder in (output, *seen)]
    # A folder without read permission is skipped, since r4l cannot read it later either.
    for step in walk(output):
        for entry in step.entries:
            if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
                _require_own(entry, output / step.inner / entry.name, places)


def is_within(file: Path, folders: Iterable[Path]) -> bool:
    """Return True if a file, the folder that it lies in, and what it leads to, all lie in one of some folders."""
    places = [folder.resolve() for folder in folders]
    return all(any(path.resolve().is_relative_to(place) for place in places) for path in (file, file.parent))


def _require_own(entry: os.DirEntry[str], path: Path, places: Iterable[Path]) -> None:
    target = followed(path) if entry.is_symlink() else None
    is_own = target and any(target.is_relative_to(place) for place in places) and ".git" not in target.parts
    if not is_own:
        what = f"a link to {target}" if target else "not a file"
        raise BuildError(
            f"the build left {path}, which is {what}", "have the Makefile write files, in its own folder only"
        )
