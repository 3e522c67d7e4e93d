# SPDX-License-Identifier: MIT
"""Scripts for editors that start the toolchain's language servers in its sandbox.

rust-analyzer must be of the same release as the compiler of the kernel's procedural macros; the toolchain's is. An
editor starts a script from any folder, so the scripts grant read access to every folder that `r4l ide` was called for.

Editors start their servers in the opened folder. There the script notices that the folder was moved, or was away when
the script was written, and has `r4l ide` write its editor files again, and the scripts: clangd ignores entries with a
relative `directory` in compile_commands.json.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from r4l import home
from r4l.limits import UNLIMITED
from r4l.own_python import OWN_PYTHON
from r4l.paths import text_or_none
from r4l.toolchain import Grant, Toolchain

PROGRAMS = ("rust-analyzer", "clangd")

ROOMS = ("toolchain", "kernels", "builds", "modules", "ide")
"""Folders of the home that the servers may read."""

SCRIPT = """#!/bin/sh
# Written by `r4l ide`: {program} of r4l's toolchain, for an editor. Do not edit.
if [ -z "${{R4L_IDE_MOVED:-}}" ] && {{ [ -e rust-project.json ] || [ -e compile_commands.json ]; }}; then
    here=$(pwd -P)
    case $here in
    {known}) moved= ;;
    *) moved=1 ;;
    esac
    # Another folder may have been here when the files were written.
    if [ -e compile_commands.json ]; then
        path=$(printf %s "$here" | sed 's/[\\"]/\\\\&/g')
        grep -qF -e '"'"$path"'"' -e '"'"$path/" compile_commands.json || moved=1
    fi
    if [ "$moved" ]; then
        export R4L_IDE_MOVED=1
        R4L_HOME={home} {again} </dev/null >/dev/null 2>&1 && exec "$0" "$@"
    fi
fi
exec {command} "$@"
"""
KNOWN = re.compile(r"^    (.*)\) moved= ;;$", re.MULTILINE)
"""Line of a script with the folders that have editor files."""


def write(
    toolchain: Toolchain, folders: Callable[[], Iterable[Path]], edited: Callable[[], Iterable[Path]]
) -> dict[str, Path]:
    """Write the scripts into `bin/` of the home, and return their paths by program.

    Args:
        toolchain: with the extra `editor`.
        folders: returns the folders that the servers may read, beside the compilers, kernels and modules of the home.
        edited: returns the folders that have editor files.
    """
    written = {}
    # The folders are listed under the lock: the scripts that are written last have those of all processes.
    with home.lock("ide-bin"):
        seen = list(folders())
        facts = {
            "known": "|".join(shlex.quote(str(folder)) for folder in edited()) or "''",
            "home": shlex.quote(str(home.home())),
            "again": shlex.join([*OWN_PYTHON, "-m", "r4l", "ide", "--if-moved"]),
        }
        for program in PROGRAMS:
            path = home.room("bin") / program
            text = SCRIPT.format(program=program, command=command(toolchain, program, seen), **facts)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                partial = home.temporary(path)
                partial.write_text(text, encoding="utf-8")
                partial.chmod(0o755)
                home.publish(partial, path)
            written[program] = path
    return written


def knows(folder: Path) -> bool:
    """True if the scripts were written when a folder was there and had editor files."""
    found = KNOWN.search(text_or_none(home.room("bin") / PROGRAMS[0]))
    return found is not None and f"|{shlex.quote(str(folder))}|" in f"|{found[1]}|"


def command(toolchain: Toolchain, program: str, folders: Iterable[Path]) -> str:
    """Return a shell command that starts a program in the sandbox.

    Folders that vanish later do not make the start fail.
    """
    rooms = (home.room(name) for name in ROOMS)
    grant = Grant("ide: language servers", reads=(*rooms, *folders), limits=UNLIMITED)
    words = toolchain.command([program], grant)
    return shlex.join("--ro-bind-try" if word == "--ro-bind" else word for word in words)
