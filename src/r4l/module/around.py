# SPDX-License-Identifier: MIT
"""The files and folders around a module's own that its build is known to read: `r4l watch` looks for saves there.

Kbuild's records name those that objects were made from. Makefiles name folders (`-I$(src)/../common`), which counts
before the first build and after one that failed, and links lead to others. A Makefile may read more, without a word:
`module/unchanged.py` counts all that it could.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from r4l.module.makefiles import above, included, is_makefile
from r4l.module.mirror import NEVER
from r4l.module.outside import recorded
from r4l.module.view import visible
from r4l.paths import followed, is_below
from r4l.walk import walk


def read_around(folder: Path, record: Path) -> frozenset[Path]:
    """Return the files and folders outside of a module's folder that its build is known to read.

    Args:
        folder: the module's folder.
        record: the record of `OutsideSources`.
    """
    seen = visible(folder)
    named = (*recorded(record), *_told(folder, seen))
    found = {followed(path) for path in dict.fromkeys(named)}
    return frozenset(
        path
        for path in found
        if not is_below(path, folder) and any(is_below(path, root) for root in seen) and os.path.lexists(path)
    )


def _told(folder: Path, seen: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder's links, its Makefiles with those that they include, and the paths above that these name."""
    known: set[Path] = set()
    for step in walk(folder, skip=NEVER):
        for entry in step.entries:
            path = folder / step.inner / entry.name
            if entry.is_symlink():
                yield path
            elif is_makefile(entry.name):
                for makefile, text in included(path, folder, seen, known):
                    yield makefile
                    for place in above(makefile, text, folder):
                        # The source of an object may be of any language.
                        yield place.parent if place.name.endswith(".o") else place
