# SPDX-License-Identifier: MIT
"""The sandboxes that there are, best first, and which of them this machine lets us have: decided by trial.

1. bubblewrap in a user namespace: also for root, whose own rights end there.
2. bubblewrap as root, where there are no user namespaces.
3. PRoot, where there is neither, as in a container without CAP_SYS_ADMIN. It shows the tree and isolates nothing.
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
"""Names the sandbox that the user wants, instead of a trial's choice."""

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
"""What lets bubblewrap make user namespaces where AppArmor keeps others from it (Ubuntu 24.04 and later)."""


@dataclass(frozen=True)
class Sandbox:
    """A way to run commands in the tree.

    Attributes:
        name: `userns`, `root` or `proot`.
        about: for people.
        reason: why it is this one and none before it.
        isolates: whether a grant is kept: False for PRoot, with which a command can do all that its user can.
        program: what it is started by; empty for PRoot where only the toolchain will bring it.
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
        """The host's command line that runs `argv` in `tree`."""
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
"""The sandboxes in the order in which they are tried, each with the programs that it can be made by."""
HOST = Path("/")
"""The machine's own files, which stand in the place of a tree where none has been made yet."""


@cache
def choose(tree: Path = HOST) -> Sandbox:
    """The first sandbox of the ladder that works here; tried once in a process. PRoot is told of on stderr, once.

    Args:
        tree: the tree that programs are tried in, and that may have PRoot.

    Raises:
        EnvironmentFault: none works; the cause says why, for each.
        UsageError: `$R4L_SANDBOX` names none.
    """
    sandbox = search(tree)
    if not sandbox.isolates and not os.environ.get(_TOLD):
        # The processes that we start are ours too: it is said once.
        os.environ[_TOLD] = "1"
        print(
            f"r4l: no sandbox on this machine ({sandbox.reason}): what is built can read and change what you can",
            file=sys.stderr,
        )
    return sandbox


def require_isolation(what: str) -> None:
    """Refuse to run what strangers wrote where no sandbox isolates.

    Args:
        what: would be run, for people.

    Raises:
        EnvironmentFault: the sandbox here is PRoot, or there is none.
    """
    sandbox = search()
    if not sandbox.isolates:
        raise EnvironmentFault(
            f"no sandbox isolates here ({sandbox.reason}): {what} could read and change all that you can",
            f"{remedy()}; or give --trusted, if you know who wrote it",
        )


_TOLD = "R4L_TOLD_OF_PROOT"


def search(tree: Path = HOST) -> Sandbox:
    """As `choose`, tried anew and without a word."""
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
    """The first program of a rung that works, and why the last that was tried does not."""
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
    """Why a sandbox cannot be had; None where a program ran in it."""
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
    # What follows the first sentence is advice, which `remedy` gives.
    return said[-1].partition(". ")[0] if said else f"{program[-1]} ended with exit code {done.returncode}"


def remedy(proc: Path | None = None) -> str:
    """What makes the best sandbox of this machine work that does not.

    Args:
        proc: where the kernel's settings are, /proc.
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
    """A sysctl; empty where the kernel has none of that name."""
    try:
        return (proc / "sys" / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
