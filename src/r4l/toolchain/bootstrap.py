# SPDX-License-Identifier: MIT
"""Make a complete Debian with mmdebstrap, as root or as an ordinary user, in a folder or a tar.

Both the toolchain's tree and the guests' disk images are made by this.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l.debian import Archive
from r4l.debian.apt import inherited_options
from r4l.debian.mirror import REMEDY
from r4l.errors import EnvironmentFault, R4LError
from r4l.process import Say, quiet, run_logged

NETWORK_FAILURE = re.compile(
    r"(Could not (resolve|connect)|Temporary failure|Connection (failed|refused|timed out)|Network is unreachable"
    r"|Unable to connect)[^\n]*"
)
"""apt's messages about a network failure."""

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Command that runs mmdebstrap in namespaces for root (unshare(1))."""

STAGES = {
    "running apt-get update": "fetching package lists",
    "downloading packages": "downloading packages",
    "extracting archives": "unpacking the base",
    "installing essential": "installing the base",
    "installing remaining": "installing the packages",
    "running --customize-hook": "configuring",
    "cleaning": "cleaning up",
}
"""Beginnings of mmdebstrap's messages, and the progress shown for them."""


def bootstrap(
    target: Path,
    archive: Archive,
    packages: Mapping[str, str | None],
    *,
    what: str,
    log: Path,
    dpkg_paths: Sequence[str] = (),
    hooks: Sequence[str] = (),
    temporary: Path | None = None,
    say: Say = quiet,
) -> None:
    """Install packages, with Debian's essential ones and apt, into `target`.

    Args:
        target: a folder (only as root, since its files would otherwise belong to subordinate ids), or a file that ends
            in `.tar`, which stores owners, modes and device nodes.
        packages: names, each with the wanted version or None for the newest.
        what: the product, for messages, such as "the toolchain".
        dpkg_paths: dpkg's path-exclude and path-include settings.
        hooks: mmdebstrap's customize hooks, run in this order after the installation.
        temporary: folder for the files of a growing tar; None for /tmp. Only as root.

    Raises:
        EnvironmentFault: a host tool, the network, a package version or disk space is missing.
    """
    # The name is derived from one of `home.temporary`, which removes leftovers of killed processes by their names.
    preferences = target.with_name(f"{target.name}.preferences")
    preferences.write_text(archive.preferences, encoding="utf-8")
    root = os.geteuid() == 0
    options = ["--variant=apt", f"--architectures={archive.architecture}", f"--mode={'root' if root else 'unshare'}"]
    options += [f'--setup-hook=install -D -m 644 {shlex.quote(str(preferences))} "$1/etc/apt/preferences.d/r4l"']
    for setting in ('Apt::Install-Recommends "false"', 'Acquire::Languages "none"', *_quoted(inherited_options())):
        options.append(f"--aptopt={setting}")
    options += [f"--dpkgopt={setting}" for setting in dpkg_paths]
    options += [f"--customize-hook={hook}" for hook in hooks]
    wanted = [f"{name}={version}" if version else name for name, version in packages.items()]
    options.append("--include=" + ",".join(wanted))
    environment = {**os.environ, "TMPDIR": str(temporary)} if temporary and root else None
    try:
        _run([*options, archive.suite, str(target), *archive.sources], what, log, environment, say)
    finally:
        preferences.unlink(missing_ok=True)


def _quoted(options: Sequence[str]) -> list[str]:
    return ['{} "{}"'.format(*option.split("=", 1)) for option in options]


def _run(arguments: Sequence[str], what: str, log: Path, environment: Mapping[str, str] | None, say: Say) -> None:
    if not shutil.which("mmdebstrap"):
        raise EnvironmentFault(
            "mmdebstrap is not installed", "as root: `apt-get install mmdebstrap uidmap` (only disk images need it)"
        )

    def stage(line: str) -> None:
        for begin, text in STAGES.items():
            if line.startswith(f"I: {begin}"):
                say(text)

    def failure(code: int, tail: str) -> R4LError:
        problem = NETWORK_FAILURE.search(tail)
        if problem:
            return EnvironmentFault(
                f"the Debian mirror cannot be reached while making {what}: {problem[0]}", REMEDY, detail=tail
            )
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
        return EnvironmentFault(f"mmdebstrap ended with {code} while making {what}", "see its last lines", detail=tail)

    # As root, mmdebstrap mounts /proc, /sys and /dev into the tree. In namespaces of its own these mounts vanish with
    # it, even if it is killed. As an ordinary user it makes such namespaces itself. The parent-death signal is SIGKILL,
    # since unshare(1) blocks SIGTERM while it waits.
    alone = ["setpriv", "--pdeathsig", "KILL", *NAMESPACES]
    command = [*alone, "mmdebstrap"] if os.geteuid() == 0 and _has_namespaces() else ["mmdebstrap"]
    run_logged([*command, *arguments], log, failure, say=stage, env=environment)


def _has_namespaces() -> bool:
    """True if root can make namespaces. Without CAP_SYS_ADMIN it cannot, and mmdebstrap then mounts nothing."""
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0
