# SPDX-License-Identifier: MIT
"""Run a command inside the tree: bubblewrap's command line.

The root of the sandbox is an empty tmpfs into which the tree's folders are bound read-only, so that any
further folder can be bound at its own path and nothing can change the tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
USR_LINKS = ("bin", "sbin", "lib", "lib64")


def bwrap(
    tree: Path,
    argv: Iterable[str | Path],
    *,
    writable: Iterable[Path] = (),
    readable: Iterable[Path] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
    named: bool = False,
    over: Mapping[Path, Path] | None = None,
    over_readable: Mapping[Path, Path] | None = None,
) -> list[str]:
    """The command line that runs `argv` in `tree`.

    Args:
        writable, readable: host folders, seen at their own path inside. Missing ones are an error of bwrap's.
        cwd: folder to start in; must lie in one of them.
        terminal: the command shall have the caller's terminal as its own.
        env: added to a small fixed environment; nothing of the caller's environment is inherited.
        named: be root inside, the one user that the tree's passwd knows: OpenSSH refuses to run as nobody in it.
        over, over_readable: folders seen inside by `writable` and `readable`, each with the host's folder that is to
            be seen there in its place.
    """
    # A session of its own, so that the sandbox cannot push keys into the caller's terminal (TIOCSTI).
    command = ["bwrap", "--unshare-pid", "--die-with-parent", *([] if terminal else ["--new-session"]), "--tmpfs", "/"]
    if named and os.geteuid() != 0:
        command[1:1] = ["--unshare-user", "--uid", "0", "--gid", "0"]
    for name in ("usr", "etc", "var"):
        command += ["--ro-bind", str(tree / name), f"/{name}"]
    for name in USR_LINKS:
        if (tree / name).is_symlink():
            command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--dev-bind", "/dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run"]
    for path in _outermost(readable):
        command += ["--ro-bind", str(path), str(path)]
    for path in _outermost(writable):
        command += ["--bind", str(path), str(path)]
    for kind, places in (("--ro-bind", over_readable), ("--bind", over)):
        for place, path in (places or {}).items():
            command += [kind, str(path), str(place)]
    if cwd:
        command += ["--chdir", str(cwd)]
    command.append("--clearenv")
    for name, value in {**ENVIRONMENT, **(env or {})}.items():
        command += ["--setenv", name, value]
    return [*command, "--", *map(str, argv)]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that lie in another of them; order by path, so that a parent comes first."""
    kept: list[Path] = []
    for path in sorted({path.resolve() for path in paths}):
        if not any(path.is_relative_to(parent) for parent in kept):
            kept.append(path)
    return kept
