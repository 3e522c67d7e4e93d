# SPDX-License-Identifier: MIT
"""Make the tree: a complete Debian in a folder, by mmdebstrap, as root or as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l import home
from r4l.errors import EnvironmentFault
from r4l.process import Say, quiet, run_logged
from r4l.toolchain import current
from r4l.toolchain.archive import Archive
from r4l.toolchain.bootstrap import bootstrap

NEEDED_MIB = 2600
"""Free space, in MiB, below which a tree is not begun (1.4 GiB of tree, the .deb files, some air)."""


def make_tree(
    room: Path,
    recipe: str,
    archive: Archive,
    packages: Mapping[str, str | None],
    dpkg_paths: Sequence[str],
    say: Say = quiet,
) -> str:
    """Make a tree in a folder; the caller holds the recipe's lock.

    Args:
        room: the folder.
        recipe: its key, with which the tree's name begins.
        packages: names, each with the version wanted or None for the newest.
        dpkg_paths: dpkg's path-exclude and path-include settings.

    Returns:
        The tree's name: the recipe and the versions that were installed. Where a tree of that name was there already,
        that one stays.

    Raises:
        EnvironmentFault: a host tool, the network, a package version or disk space is missing.
    """
    with home.space(room, NEEDED_MIB, "the toolchain"):
        return _make(room, recipe, archive, packages, dpkg_paths, say)


def _make(
    room: Path,
    recipe: str,
    archive: Archive,
    packages: Mapping[str, str | None],
    dpkg_paths: Sequence[str],
    say: Say,
) -> str:
    partial = home.temporary(room / recipe)
    log = home.room("logs") / "toolchain.log"
    log.unlink(missing_ok=True)
    tar = partial.with_name(partial.name + ".tar")

    def make(target: Path) -> None:
        bootstrap(target, archive, packages, what="the toolchain", log=log, dpkg_paths=dpkg_paths, say=say)

    try:
        if os.geteuid() == 0:
            make(partial)
        else:
            # Unpacked from a tar by ourselves, every file is the user's own and can be removed without root.
            make(tar)
            say("unpacking the tree")
            partial.mkdir()
            run_logged(
                ["tar", "-C", str(partial), "--exclude=./dev/*", "-xf", str(tar)],
                log,
                lambda code, tail: EnvironmentFault(f"tar ended with {code} on the new tree", "", detail=tail),
            )
            tar.unlink()
        versions = installed(partial)
        # Others may be using one that is there already; and what was built with it stays good.
        for there in current.trees(room, recipe):
            if current.packages(there) == versions:
                return there.name
        text = json.dumps(versions, indent=1, sort_keys=True)
        (partial / current.PACKAGES).write_text(text, encoding="utf-8")
        return partial.rename(room / f"{recipe}-{home.content_key(text)}").name
    finally:
        for leftover in (partial, tar):
            if leftover.exists():
                home.remove(leftover)


def installed(tree: Path) -> dict[str, str]:
    """The packages of a tree with their versions, from dpkg's own status file."""
    done = subprocess.run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    return dict(line.split() for line in done.stdout.splitlines())
