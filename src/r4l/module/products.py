# SPDX-License-Identifier: MIT
"""What a build left in its folder, before any of it is read: a Makefile can put links and pipes there as well as files.

The build itself sees nothing outside; whoever reads its products does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
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
    for parent, folders, files in os.walk(output):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                continue
            target = path.resolve() if stat.S_ISLNK(mode) else None
            if target is None or not any(target.is_relative_to(place) for place in places):
                what = f"a link to {target}" if target else "no file"
                raise BuildError(
                    f"the build left {path}, which is {what}", "have the Makefile write files, in its own folder only"
                )
