# SPDX-License-Identifier: MIT
"""Detect changes to large files that are used for weeks after they were made.

The final rename only proves that a file was complete at that time. A full or failing disk, a truncated copy of the
home, or a stray write can damage it later; a guest would report that as errors of its file system.
"""

from __future__ import annotations

import os
from pathlib import Path

from r4l import home


def publish_sealed(partial: Path, final: Path) -> None:
    """Flush a file to the disk, record its size and time beside it, and give it its name."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    note = _note(final)
    beside = partial.with_name(partial.name + ".seal")
    beside.write_text(_likeness(partial), encoding="utf-8")
    # The record comes first: after an interrupt in between, the file is missing and the record counts for nothing.
    home.publish(beside, note)
    home.publish(partial, final)


def is_whole(final: Path) -> bool:
    """True if a file exists and is unchanged since `publish_sealed`."""
    try:
        return _note(final).read_text(encoding="utf-8") == _likeness(final)
    except FileNotFoundError:
        return False


def _note(final: Path) -> Path:
    return final.with_name(final.name + ".seal")


def _likeness(path: Path) -> str:
    """Return a file's size and modification time. A hash would read hundreds of megabytes at each boot."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}\n"
