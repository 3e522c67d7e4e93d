# SPDX-License-Identifier: MIT
"""Make an ext4 file system from a tar, without root or mount, with the owners in the tar."""

from __future__ import annotations

from pathlib import Path

from r4l.errors import EnvironmentFault, disk_full
from r4l.shortage import DISK_FULL, full_disk
from r4l.toolchain import Grant, Toolchain


def make_ext4(tar: Path, target: Path, mebibytes: int, label: str, toolchain: Toolchain) -> None:
    """Write a file system with the tar's content to the sparse file `target`.

    Args:
        mebibytes: size of the file system in MiB.
        toolchain: with the extra `image`; mke2fs reads tars by libarchive (mke2fs(8), option -d).

    Raises:
        EnvironmentFault: the disk is full, or the content is larger than the file system.
    """
    # No journal: the file system is discarded with the guest and need not survive its crash.
    options = ["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "root_owner=0:0", "-L", label]
    target.touch()
    grant = Grant("image: file system", writes=(target,), reads=(tar,))
    done = toolchain.run(["mke2fs", *options, "-d", tar, target, f"{mebibytes}M"], grant, check=False)
    if done.returncode == 0:
        return
    said = done.stderr.decode(errors="replace")
    if DISK_FULL.search(said) and full_disk([target]):
        raise disk_full(said)
    raise EnvironmentFault(
        f"mke2fs ended with {done.returncode} while making {label}", "see its last lines", detail=said
    )
