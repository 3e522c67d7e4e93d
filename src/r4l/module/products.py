# SPDX-License-Identifier: MIT
"""What a build left in its folder, before any of it is read: a Makefile can put links and pipes there as well as files.

The build itself sees nothing outside; whoever reads its products does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from r4l.errors import BuildError


def require_own(output: Path, seen: Iterable[Path] = ()) -> None:
    """Refuse a folder with anything but files, folders, and links that stay in it or lead to what the build has seen.

    Args:
        output: the folder that a build has written to.
        seen: what the build could read.

    Raises:
        BuildError: there is something else; its path is named.
    """
    places = [folder.resolve() for folder in (output, *seen)]
    for entry in _others(output):
        path = Path(entry.path)
        target = path.resolve() if entry.is_symlink() else None
        if target is None or not any(target.is_relative_to(place) for place in places):
            what = f"a link to {target}" if target else "no file"
            raise BuildError(
                f"the build left {path}, which is {what}", "have the Makefile write files, in its own folder only"
            )


def _others(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """All in a folder and those below it that is neither a file nor a folder."""
    # A folder that its build closed to us is not read by us.
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _others(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                yield entry
