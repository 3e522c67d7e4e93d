# SPDX-License-Identifier: MIT
"""Packages unpacked without being installed: no script of theirs is run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from r4l.errors import EnvironmentFault


def unpack_deb(deb: Path, folder: Path) -> None:
    """Lay the files of a package over a folder.

    Raises:
        EnvironmentFault: the disk is full, or the file is no package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["dpkg-deb", "-x", str(deb), str(folder)], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    require_unpacked(done.returncode, f"dpkg-deb cannot unpack {deb.name}", done.stderr)


def require_unpacked(code: int, what: str, why: str) -> None:
    """Raise where a program that unpacks has failed.

    Args:
        code: its exit code.
        what: the cause, where it is not a full disk.
        why: what it printed.

    Raises:
        EnvironmentFault: `code` is not 0.
    """
    if code == 0:
        return
    if "No space left" in why:
        raise EnvironmentFault(
            "the disk is full", "free some space, or set R4L_HOME to a folder on a larger disk", detail=why
        )
    raise EnvironmentFault(what, "run it again", detail=why)
