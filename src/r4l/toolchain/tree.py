# SPDX-License-Identifier: MIT
"""Construction of the tree: Debian's packages unpacked into a folder, and the necessary actions of their scripts.

No program in the tree is run, so the host needs only Python, and no root. The other actions of Debian's scripts (users
for services, caches, byte code) are needed by no command of r4l.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from r4l import home
from r4l.debian import Archive, Rules
from r4l.debian.package import Package
from r4l.process import Say, quiet
from r4l.toolchain import current

NEEDED_MIB = 2600
"""Free space in MiB required to begin a tree (1.4 GiB of tree, the .deb files, a reserve)."""
FIRST = "base-files"
"""Package with the root's folders and links (`/bin` is a link to `usr/bin`), which is unpacked before the others."""
STATUS = "var/lib/dpkg/status"
ALTERNATIVES = "etc/alternatives"
COPIES = {
    "passwd": "usr/share/base-passwd/passwd.master",
    "group": "usr/share/base-passwd/group.master",
    "nsswitch.conf": "usr/share/libc-bin/nsswitch.conf",
}
"""Files of /etc that the scripts of base-passwd and libc-bin copy."""
HOSTS = ("resolv.conf", "hosts")
"""Files of /etc of which commands with a network see the host's; the tree's are empty."""


def make_tree(
    room: Path,
    recipe: str,
    archive: Archive,
    packages: Mapping[str, str | None],
    rules: Rules,
    alternatives: Mapping[str, Iterable[str]],
    say: Say = quiet,
) -> str:
    """Make a tree in a folder; the caller holds the recipe's lock.

    Args:
        room: the folder.
        recipe: key of the recipe, with which the tree's name begins.
        archive: source of the packages.
        packages: names, each with the wanted version or None for the newest. Essential packages are added.
        rules: files to leave out.
        alternatives: links of /usr/bin, each with the programs that it may lead to, the best first.
        say: receives each step.

    Returns:
        The tree's name, made from the recipe and the versions in it. If a tree with these versions exists, it is kept.

    Raises:
        EnvironmentFault: the network, a package version or disk space is missing.
    """
    archive.update(say)
    say("finding out what is needed")
    found = archive.resolve({**dict.fromkeys(archive.essential()), **packages})
    versions = {name: package.version for name, package in sorted(found.items())}
    # Other processes may use an existing tree, and files built with it stay valid.
    for there in current.trees(room, recipe):
        if current.packages(there) == versions:
            return there.name
    text = json.dumps(versions, indent=1, sort_keys=True)
    with home.space(room, NEEDED_MIB, "the toolchain"), home.no_full_disk():
        partial = home.temporary(room / recipe)
        try:
            if FIRST in found:
                archive.unpack_found([found[FIRST]], partial, say, rules=rules)
            archive.unpack_found([found[name] for name in found if name != FIRST], partial, say, rules=rules)
            say("finishing the tree")
            finish(partial, found.values(), alternatives)
            (partial / current.PACKAGES).write_text(text, encoding="utf-8")
            return partial.rename(room / f"{recipe}-{home.content_key(text)}").name
        finally:
            if partial.exists():
                home.remove(partial)


def finish(tree: Path, packages: Iterable[Package], alternatives: Mapping[str, Iterable[str]]) -> None:
    """Do the actions of the packages' scripts that commands in the tree depend on."""
    etc = tree / "etc"
    etc.mkdir(exist_ok=True)
    for name, source in COPIES.items():
        if (tree / source).is_file():
            shutil.copyfile(tree / source, etc / name)
    for name in HOSTS:
        (etc / name).unlink(missing_ok=True)
        (etc / name).touch()
    link_alternatives(tree, alternatives)
    status = tree / STATUS
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text("\n".join(package.status() for package in packages), encoding="utf-8")


def of_the_host(etc: Path = Path("/etc")) -> dict[Path, Path]:
    """Return the files that take the place of the tree's for commands with a network (`Grant.over_reads`): the host's
    as they are now, since a laptop's name servers change with its network.

    Args:
        etc: the host's folder.
    """
    # The host's file may be a link into a folder that the sandbox does not show.
    found = {Path("/etc", name): (etc / name).resolve() for name in HOSTS}
    return {place: path for place, path in found.items() if path.is_file()}


def link_alternatives(tree: Path, alternatives: Mapping[str, Iterable[str]]) -> None:
    """Make the links of update-alternatives(1), for programs that are in the tree."""
    (tree / ALTERNATIVES).mkdir(parents=True, exist_ok=True)
    for name, programs in alternatives.items():
        program = next((program for program in programs if os.path.lexists(tree / "usr/bin" / program)), None)
        link = tree / "usr/bin" / name
        if program and not os.path.lexists(link):
            (tree / ALTERNATIVES / name).unlink(missing_ok=True)
            (tree / ALTERNATIVES / name).symlink_to(f"/usr/bin/{program}")
            link.symlink_to(f"/{ALTERNATIVES}/{name}")
