# SPDX-License-Identifier: MIT
"""Make the tree: a complete Debian in a folder, by mmdebstrap, as root or as an ordinary user."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l import home
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet, run_logged
from r4l.toolchain.archive import Archive, inherited_options, unreachable

NEEDED_MIB = 2600
"""Free space, in MiB, below which a tree is not begun (1.4 GiB of tree, the .deb files, some air)."""

STAGES = {
    "running apt-get update": "fetching package lists",
    "downloading packages": "downloading packages",
    "extracting archives": "unpacking the base",
    "installing essential": "installing the base",
    "installing remaining": "installing compilers, bindgen, QEMU",
    "cleaning": "cleaning up",
}


def make_tree(
    final: Path,
    archive: Archive,
    packages: Mapping[str, str | None],
    dpkg_paths: Sequence[str],
    say: Say = quiet,
) -> None:
    """Make a tree at `final`; the caller holds its lock.

    Args:
        packages: names, each with the version wanted or None for the newest.
        dpkg_paths: dpkg's path-exclude and path-include settings.

    Raises:
        EnvironmentFault: a host tool, the network, a package version or disk space is missing.
    """
    home.require_space(final.parent, NEEDED_MIB, "the toolchain")
    partial = home.temporary(final)
    log = home.room("logs") / "toolchain.log"
    log.unlink(missing_ok=True)
    preferences = partial.parent / f".{final.name}.preferences"
    preferences.write_text(archive.preferences)
    options = ["--variant=apt", f"--architectures={archive.architecture}"]
    options += [f'--setup-hook=install -D -m 644 {shlex.quote(str(preferences))} "$1/etc/apt/preferences.d/r4l"']
    for setting in ('Apt::Install-Recommends "false"', 'Acquire::Languages "none"', *_quoted(inherited_options())):
        options.append(f"--aptopt={setting}")
    options += [f"--dpkgopt={setting}" for setting in dpkg_paths]
    wanted = [f"{name}={version}" if version else name for name, version in packages.items()]
    options.append("--include=" + ",".join(wanted))
    try:
        if os.geteuid() == 0:
            _mmdebstrap([*options, "--mode=root", archive.suite, str(partial), *archive.sources], log, say)
        else:
            # Unpacked from a tar by ourselves, every file is the user's own and can be removed without root.
            tar = partial.with_name(partial.name + ".tar")
            _mmdebstrap([*options, "--mode=unshare", archive.suite, str(tar), *archive.sources], log, say)
            say("unpacking the tree")
            partial.mkdir()
            run_logged(
                ["tar", "-C", str(partial), "--exclude=./dev/*", "-xf", str(tar)],
                log,
                lambda code, tail: EnvironmentFault(f"tar ended with {code} on the new tree", "", detail=tail),
            )
            tar.unlink()
        (partial / "r4l-packages.json").write_text(json.dumps(installed(partial), indent=1))
        home.publish(partial, final)
    finally:
        for leftover in (partial, partial.with_name(partial.name + ".tar"), preferences):
            if leftover.exists():
                home.remove(leftover)


def _quoted(options: Sequence[str]) -> list[str]:
    return ['{} "{}"'.format(*option.split("=", 1)) for option in options]


def _mmdebstrap(arguments: Sequence[str], log: Path, say: Say) -> None:
    if not shutil.which("mmdebstrap"):
        raise EnvironmentFault("mmdebstrap is not installed", "run `r4l doctor --fix` (as root), or install it")

    def stage(line: str) -> None:
        for begin, text in STAGES.items():
            if line.startswith(f"I: {begin}"):
                say(text)

    def failure(code: int, tail: str) -> R4LError:
        network = unreachable(tail, "making the toolchain")
        if network:
            return network
        missing = [line for line in tail.splitlines() if line.startswith("E: Version ") or "Unable to locate" in line]
        if missing:
            return EnvironmentFault(
                f"the mirror lacks a package version: {missing[0].removeprefix('E: ')}",
                "the archive has moved on: run `r4l setup --update` to take the newest versions",
                detail=tail,
            )
        if "subuid" in tail or "newuidmap" in tail:
            return EnvironmentFault(
                "this user has no range of subordinate user ids, which mmdebstrap needs without root",
                "as root: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`",
                detail=tail,
            )
        return EnvironmentFault(f"mmdebstrap ended with {code}", "see its last lines", detail=tail)

    # As root, mmdebstrap mounts /proc, /sys and /dev into the tree: in namespaces of its own they are gone with it,
    # even where it is killed. As an ordinary user it makes such namespaces itself.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
    run_logged([*alone, "mmdebstrap", *arguments], log, failure, say=stage)


def installed(tree: Path) -> dict[str, str]:
    """The packages of a tree with their versions, from dpkg's own status file."""
    done = subprocess.run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())
