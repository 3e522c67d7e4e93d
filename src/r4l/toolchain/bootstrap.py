# SPDX-License-Identifier: MIT
"""A complete Debian by mmdebstrap, as root or as an ordinary user: into a folder, or into a tar.

The disk images of guests are made this way: systemd and sshd need what their packages' scripts do.
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
"""How apt says that the network is the cause."""

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""What root runs mmdebstrap in (unshare(1))."""

STAGES = {
    "running apt-get update": "fetching package lists",
    "downloading packages": "downloading packages",
    "extracting archives": "unpacking the base",
    "installing essential": "installing the base",
    "installing remaining": "installing the packages",
    "running --customize-hook": "configuring",
    "cleaning": "cleaning up",
}
"""What mmdebstrap's messages begin with, and what is shown for them."""


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
        target: a folder (only as root: else its files would belong to subordinate ids), or a file that ends in
            `.tar`, which holds owners, modes and device nodes as they shall be.
        packages: names, each with the version wanted or None for the newest.
        what: what is being made, for messages, as in "the toolchain".
        dpkg_paths: dpkg's path-exclude and path-include settings.
        hooks: mmdebstrap's customize hooks, run in this order when everything is installed.
        temporary: folder for the files of a tar while it grows; /tmp where None. Only as root.

    Raises:
        EnvironmentFault: a host tool, the network, a package version or disk space is missing.
    """
    # The target is of `home.temporary`, which knows by its name what a killed process has left.
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

    # As root, mmdebstrap mounts /proc, /sys and /dev into the tree: in namespaces of its own they are gone with it,
    # even where it is killed. As an ordinary user it makes such namespaces itself.
    # unshare(1) blocks SIGTERM while it waits, the signal of a dead owner: hence SIGKILL, which it passes on.
    alone = ["setpriv", "--pdeathsig", "KILL", *NAMESPACES]
    command = [*alone, "mmdebstrap"] if os.geteuid() == 0 and _has_namespaces() else ["mmdebstrap"]
    run_logged([*command, *arguments], log, failure, say=stage, env=environment)


def _has_namespaces() -> bool:
    """Whether root may make namespaces: without CAP_SYS_ADMIN it may not, and mmdebstrap mounts nothing then."""
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0
