# SPDX-License-Identifier: MIT
"""The sandboxes, best first, and the trials that decide which of them works on this machine.

1. bubblewrap in a user namespace: also for root, whose own rights end there.
2. bubblewrap as root, without user namespaces.
3. PRoot, without either, as in a container without CAP_SYS_ADMIN. It shows the tree and isolates nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

from r4l.errors import EnvironmentFault, UsageError
from r4l.limits import UNLIMITED
from r4l.toolchain import enter
from r4l.toolchain.grant import Grant

Name = Literal["userns", "root", "proot"]
ENVIRONMENT = "R4L_SANDBOX"
"""Environment variable with the sandbox that the user wants, instead of a trial's choice."""

PROC = Path("/proc")
PATIENCE = 20.0
"""Seconds that a trial may take."""

PROFILE = """\
abi <abi/4.0>,
include <tunables/global>
profile {name} {path} flags=(unconfined) {{
  userns,
}}
"""
"""AppArmor profile that lets bubblewrap make user namespaces where AppArmor forbids them (Ubuntu 24.04 and later)."""


@dataclass(frozen=True)
class Sandbox:
    """A way to run commands in the tree.

    Attributes:
        name: `userns`, `root` or `proot`.
        about: description for people.
        reason: reason for this sandbox and against those before it.
        isolates: True if grants are enforced; False for PRoot, whose commands have all rights of their user.
        program: command line of its program; empty for PRoot if only the toolchain will bring it.
    """

    name: Name
    about: str
    reason: str
    isolates: bool
    program: tuple[str, ...] = ()

    def command(
        self,
        tree: Path,
        argv: Sequence[str | Path],
        grant: Grant,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the host's command line that runs `argv` in `tree`."""
        return RUNGS[self.name].enter(tree, argv, grant, cwd=cwd, env=env, program=self.program)


@dataclass(frozen=True)
class _Rung:
    about: str
    programs: Callable[[Path], Iterable[tuple[str, ...]]]
    enter: Callable[..., list[str]]
    isolates: bool = True


def _bwraps(_tree: Path) -> Iterable[tuple[str, ...]]:
    return [(path,) for path in enter.bwraps()]


RUNGS: dict[Name, _Rung] = {
    "userns": _Rung("bubblewrap in a user namespace", _bwraps, enter.bwrap),
    "root": _Rung("bubblewrap as root", _bwraps, partial(enter.bwrap, user_namespace=False)),
    "proot": _Rung("PRoot, which isolates nothing", enter.proots, enter.proot, isolates=False),
}
"""The sandboxes in the order of their trials, each with the programs that can make it."""
HOST = Path("/")
"""Root of the machine's own files, in the place of a tree that has not been made yet."""


@cache
def choose(tree: Path = HOST) -> Sandbox:
    """Return the first sandbox that works on this machine, tried once in a process. PRoot is reported on stderr, once.

    Args:
        tree: tree for the trials, which may contain PRoot.

    Raises:
        EnvironmentFault: no sandbox works; the cause has the reason for each.
        UsageError: `$R4L_SANDBOX` names no sandbox.
    """
    sandbox = search(tree)
    if not sandbox.isolates and not os.environ.get(_TOLD):
        # In the environment, so that processes started by this one do not repeat the message.
        os.environ[_TOLD] = "1"
        print(
            f"r4l: no sandbox on this machine ({sandbox.reason}): builds can read and change all your files",
            file=sys.stderr,
        )
    return sandbox


def require_isolation(what: str) -> None:
    """Refuse to run untrusted code without an isolating sandbox.

    Args:
        what: the code, for people.

    Raises:
        EnvironmentFault: the sandbox of this machine is PRoot, or there is none.
    """
    sandbox = search()
    if not sandbox.isolates:
        raise EnvironmentFault(
            f"no sandbox isolates on this machine ({sandbox.reason}): {what} could read and change all your files",
            f"{remedy()}; or give --trusted, if you know who wrote it",
        )


_TOLD = "R4L_TOLD_OF_PROOT"


def search(tree: Path = HOST) -> Sandbox:
    """Search a sandbox like `choose`, with new trials and without a message."""
    wanted = os.environ.get(ENVIRONMENT)
    if wanted and wanted not in RUNGS:
        raise UsageError(f"{ENVIRONMENT} is {wanted!r}", f"set it to one of {', '.join(RUNGS)}, or unset it")
    failures: list[str] = []
    for name, rung in RUNGS.items():
        if wanted and name != wanted:
            continue
        program, problem = _try(name, tree)
        if program is not None:
            reason = f"{ENVIRONMENT} asks for it" if wanted else "; ".join(failures) or "the best there is"
            return Sandbox(name, rung.about, reason, rung.isolates, program)
        failures.append(f"{rung.about.partition(',')[0]}: {problem}")
    raise EnvironmentFault("no sandbox works on this machine", remedy(), detail="\n".join(failures))


def _try(name: Name, tree: Path) -> tuple[tuple[str, ...] | None, str]:
    """Return the first program of a sandbox that works, and the failure of the last that was tried."""
    if name == "root" and os.geteuid() != 0:
        return None, "you are not root"
    programs = list(RUNGS[name].programs(tree))
    if name == "proot" and not programs and tree == HOST:
        # The toolchain will bring it.
        return (), ""
    problem = (
        "this toolchain has none (`r4l setup --update` makes one that has)" if name == "proot" else "there is none"
    )
    for program in programs:
        found = _problem(name, program, tree)
        if found is None:
            return program, ""
        problem = found
    return None, problem


def _problem(name: Name, program: tuple[str, ...], tree: Path) -> str | None:
    """Return the reason why a sandbox does not work; None if a program ran in it."""
    folders = [tree / link for link in enter.USR_LINKS] if tree == HOST else []
    own = tuple(folder for folder in folders if folder.is_dir() and not folder.is_symlink())
    grant = Grant("trial of the sandbox", reads=own, limits=UNLIMITED)
    command = RUNGS[name].enter(tree, ["true"], grant, program=program)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE, cwd="/"
        )
    except OSError as error:
        return f"{program[-1]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{program[-1]} did not end within {PATIENCE:g} s"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    # The words after the first sentence are advice, which `remedy` replaces.
    return said[-1].partition(". ")[0] if said else f"{program[-1]} ended with exit code {done.returncode}"


def remedy(proc: Path | None = None) -> str:
    """Return the remedy for the best sandbox of this machine that does not work.

    Args:
        proc: folder of the kernel's settings, /proc by default.
    """
    proc = proc or PROC
    if _setting(proc, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        path = (*enter.bwraps(), "/usr/bin/bwrap")[0]
        name = "bwrap" if path == "/usr/bin/bwrap" else "r4l-bwrap"
        return (
            "AppArmor keeps programs from user namespaces here; allow it to bubblewrap: as root, write\n"
            f"{PROFILE.format(name=name, path=path)}to /etc/apparmor.d/{name} and run "
            f"`apparmor_parser -r /etc/apparmor.d/{name}` "
            "(or allow it to all: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)"
        )
    if _setting(proc, "kernel/unprivileged_userns_clone") == "0" and os.geteuid() != 0:
        return "as root: sysctl kernel.unprivileged_userns_clone=1"
    if _setting(proc, "user/max_user_namespaces") == "0":
        return "as root: sysctl user.max_user_namespaces=10000"
    return (
        "let this user make user namespaces; a container needs CAP_SYS_ADMIN or them (Docker: `--privileged`, or "
        "`--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`)"
    )


def _setting(proc: Path, name: str) -> str:
    """Return a sysctl; empty if the kernel has none of that name."""
    try:
        return (proc / "sys" / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
