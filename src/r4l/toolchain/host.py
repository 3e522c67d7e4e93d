# SPDX-License-Identifier: MIT
"""What this machine must have before there is a tree, each with its remedy."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import EnvironmentFault
from r4l.toolchain import ladder

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "bwrap": "bubblewrap",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "setpriv": "util-linux",
}
"""Host programs, each with the Debian package that holds it."""

ROOTLESS_PACKAGES = {"newuidmap": "uidmap"}


@dataclass(frozen=True)
class Finding:
    """One line of `r4l doctor`.

    Attributes:
        name: what was looked at.
        ok: False where r4l cannot work without it.
        found: what is there.
        remedy: what to do; empty where all is well.
        version, wanted: the version that is there and the oldest that will do; empty where it is no matter of versions.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    version: str = ""
    wanted: str = ""


def missing_packages() -> list[str]:
    """Debian packages that this machine still needs: PRoot where bubblewrap is there and cannot work."""
    wanted = dict(PACKAGES)
    if os.geteuid() != 0:
        wanted |= ROOTLESS_PACKAGES
    absent = {package for program, package in wanted.items() if not shutil.which(program)}
    if "bubblewrap" not in absent and not _has_sandbox():
        absent.add("proot")
    return sorted(absent)


def _has_sandbox() -> bool:
    if shutil.which("proot"):
        return True
    try:
        ladder.search()
    except EnvironmentFault:
        return False
    return True


def install_packages(names: list[str]) -> bool:
    """Install Debian packages with apt, as root; the output goes to the terminal.

    Returns:
        False where this is not possible: not root, or apt failed.
    """
    if os.geteuid() != 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, check=False)
    done = subprocess.run(
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *names], env=environment, check=False
    )
    return done.returncode == 0


def findings() -> list[Finding]:
    """Look at this machine: programs, user namespaces, subordinate ids, the sandbox itself."""
    result: list[Finding] = []
    absent = missing_packages()
    command = f"apt-get install {' '.join(absent)}"
    result.append(
        Finding(
            "host packages",
            not absent,
            "all there" if not absent else f"missing: {', '.join(absent)}",
            "" if not absent else f"`r4l doctor --fix`, or as root: {command}",
        )
    )
    if os.geteuid() != 0:
        result.append(_subordinate_ids())
    result.append(_sandbox())
    return result


def _subordinate_ids() -> Finding:
    user = getpass.getuser()
    for name in ("/etc/subuid", "/etc/subgid"):
        path = Path(name)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if not any(line.split(":")[0] in (user, str(os.getuid())) for line in lines):
            return Finding(
                "subordinate ids",
                False,
                f"{user} has no range in {name}",
                f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
            )
    return Finding("subordinate ids", True, f"{user} has a range in /etc/subuid and /etc/subgid")


def _sandbox() -> Finding:
    """The sandbox that commands run in; one that isolates nothing will do, and yet has a remedy."""
    try:
        sandbox = ladder.search()
    except EnvironmentFault as fault:
        why = "; ".join(fault.detail.splitlines())
        return Finding("sandbox", False, f"{fault.cause} ({why})", fault.remedy)
    remedy = "" if sandbox.isolates else ladder.remedy()
    return Finding("sandbox", True, f"{sandbox.about} ({sandbox.reason})", remedy)
