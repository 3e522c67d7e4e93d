# SPDX-License-Identifier: MIT
"""An ext4 file system made from a tar: no root, no mount, and owners as the tar says."""

from __future__ import annotations

from pathlib import Path

from r4l.errors import EnvironmentFault
from r4l.process import DISK_FULL
from r4l.toolchain import Grant, Toolchain


def make_ext4(tar: Path, target: Path, mebibytes: int, label: str, toolchain: Toolchain) -> None:
    """Write a file system with the tar's content to the sparse file `target`.

    Args:
        toolchain: with the extra `image`; mke2fs reads tars by libarchive (mke2fs(8), option -d).

    Raises:
        EnvironmentFault: the disk is full, or the content is larger than the file system.
    """
    # Nothing is kept when the guest is gone, so nothing need survive its crash: no journal.
    options = ["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "root_owner=0:0", "-L", label]
    target.touch()
    grant = Grant("image: file system", writes=(target,), reads=(tar,))
    done = toolchain.run(["mke2fs", *options, "-d", tar, target, f"{mebibytes}M"], grant, check=False)
    if done.returncode == 0:
        return
    said = done.stderr.decode(errors="replace")
    if DISK_FULL.search(said):
        raise EnvironmentFault(
            "the disk is full", "free some space, or set R4L_HOME to a folder on a larger disk", detail=said
        )
    raise EnvironmentFault(
        f"mke2fs ended with {done.returncode} while making {label}", "see its last lines", detail=said
    )
