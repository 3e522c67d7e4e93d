# SPDX-License-Identifier: MIT
"""A tree with more packages: a copy by hard links, into which they are unpacked.

No script is run and no package is configured: the extras (compilers for other machines, QEMU, language servers) work as
unpacked. The base tree stays unchanged: dpkg-deb replaces files and never writes into them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.debian import Archive
from r4l.errors import EnvironmentFault
from r4l.process import Say, quiet
from r4l.toolchain import current

NEEDED_MIB = 1200


def make_extended(
    final: Path,
    base: Path,
    extras: Sequence[dict[str, Any]],
    archive_for: Callable[[str], Archive],
    locked: Mapping[str, str],
    say: Say = quiet,
) -> None:
    """Make `final` from the tree `base` and extras of debian.toml. The caller holds the lock.

    Args:
        final: place of the new tree.
        base: the tree without extras.
        extras: their tables.
        archive_for: returns the archive of an architecture.
        locked: packages that a lock file names for the extras, names to versions.
        say: receives each step.

    Raises:
        EnvironmentFault: the network, a package or disk space is missing.
    """
    with home.space(final.parent, NEEDED_MIB, "further tools"):
        _make(final, base, extras, archive_for, locked, say)


def needed(
    extras: Sequence[dict[str, Any]], base: Path, archive: Archive, locked: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the packages of some extras to unpack over a tree, names to versions; those that are locked, and else the
    archive's.

    Raises:
        EnvironmentFault: a package is not in the archive.
    """
    names: dict[str, str | None] = {name: None for extra in extras for name in extra["packages"]}
    return archive.needed_for({**names, **(locked or {})}, base / "var/lib/dpkg/status")


def versions_in(trees: Mapping[tuple[str, ...], Path], base: Path) -> dict[str, dict[str, str]]:
    """Return the packages of each extra that some trees have, names to versions.

    Args:
        trees: trees by their extras.
        base: the tree without extras.
    """
    known = current.packages(base)
    found: dict[str, dict[str, str]] = {}
    for extras in sorted(trees, key=len):
        more = {name: version for name, version in current.packages(trees[extras]).items() if name not in known}
        unknown = [extra for extra in extras if extra not in found]
        if len(unknown) == 1:
            others = {name for extra in extras if extra in found for name in found[extra]}
            found[unknown[0]] = {name: version for name, version in more.items() if name not in others}
    return found


def _make(
    final: Path,
    base: Path,
    extras: Sequence[dict[str, Any]],
    archive_for: Callable[[str], Archive],
    locked: Mapping[str, str],
    say: Say,
) -> None:
    partial = home.temporary(final)
    try:
        say("copying the tree")
        home.copy(base, partial, "-al")
        packages = current.packages(base)
        archive = archive_for(architecture(DEFAULT).debian)
        archive.update(say)
        versions = needed(extras, base, archive, locked)
        archive.unpack(versions, partial, say)
        for extra in extras:
            _unpack_foreign(extra.get("foreign", {}), packages, partial, archive_for, say)
        # Write and rename: the existing name is a hard link to the base tree's file.
        listing = partial / f"{current.PACKAGES}.new"
        listing.write_text(json.dumps({**packages, **versions}, indent=1), encoding="utf-8")
        listing.rename(partial / current.PACKAGES)
        home.publish(partial, final)
    finally:
        if partial.exists():
            home.remove(partial)


def _unpack_foreign(
    foreign: dict[str, Any],
    base: Mapping[str, str],
    tree: Path,
    archive_for: Callable[[str], Archive],
    say: Say,
) -> None:
    """Unpack packages of another architecture. Only their files are used, so dependencies are not fetched."""
    if not foreign:
        return
    # Without backports, whose list for that architecture would be fetched for nothing.
    archive = dataclasses.replace(archive_for(foreign["architecture"]), backports="", pinned_sources=())
    archive.update(say)
    for name, folder in foreign["packages"].items():
        # Use the tree's own version: rustc accepts a standard library of its own version only.
        version = base.get(name)
        if version is None or version not in archive.versions(name):
            raise EnvironmentFault(
                f"the Debian mirror has no {name} {version or ''} for {foreign['architecture']}",
                "the archive has moved on: run `r4l setup --update`",
            )
        archive.unpack({name: version}, tree / folder.lstrip("/"), say)
