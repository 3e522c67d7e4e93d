# SPDX-License-Identifier: MIT
"""Files that are used for weeks after they were made: whether they are still what they were.

A name that is given by one rename says that a file was whole then. A full or failing disk, a copy of the home that was
cut short, or somebody who wrote to it can change that; a guest would meet it as errors of a file system that is fine.
"""

from __future__ import annotations

import os
from pathlib import Path

from r4l import home


def publish(partial: Path, final: Path) -> None:
    """Give what is whole its name, on the disk and not only in memory, and note what it is like beside it."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    note = _note(final)
    beside = partial.with_name(partial.name + ".seal")
    beside.write_text(_likeness(partial), encoding="utf-8")
    # The note first: an interrupt between the two leaves a note without its file, which is not whole.
    home.publish(beside, note)
    home.publish(partial, final)


def is_whole(final: Path) -> bool:
    """Whether a file is there, and as it was when `publish` gave it its name."""
    try:
        return _note(final).read_text(encoding="utf-8") == _likeness(final)
    except FileNotFoundError:
        return False


def _note(final: Path) -> Path:
    return final.with_name(final.name + ".seal")


def _likeness(path: Path) -> str:
    """Size and time of the last change: reading hundreds of megabytes at each boot would take longer than they tell."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}\n"
