# SPDX-License-Identifier: MIT
"""The language servers as programs for an editor: scripts that start those of the toolchain, in its sandbox.

rust-analyzer must be of the release of the compiler that made the kernel's procedural macros; the toolchain's is.
An editor starts it anywhere, so the scripts let it see every folder that `r4l ide` was called for, read-only.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from r4l import home
from r4l.limits import UNLIMITED
from r4l.toolchain import Grant, Toolchain

PROGRAMS = ("rust-analyzer", "clangd")

ROOMS = ("toolchain", "kernels", "builds", "modules", "ide")
"""What the servers may read of the home."""

SCRIPT = """#!/bin/sh
# Written by `r4l ide`: {program} of r4l's toolchain, for an editor. Do not edit.
exec {command} "$@"
"""


def write(toolchain: Toolchain, folders: Iterable[Path]) -> dict[str, Path]:
    """Write the scripts into `bin/` of the home.

    Args:
        toolchain: with the extras `editor`.
        folders: what the servers may read, beside the compilers, kernels and modules of the home.

    Returns:
        Their paths by program.
    """
    seen = list(folders)
    written = {}
    with home.lock("ide-bin"):
        for program in PROGRAMS:
            path = home.room("bin") / program
            text = SCRIPT.format(program=program, command=command(toolchain, program, seen))
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                partial = home.temporary(path)
                partial.write_text(text, encoding="utf-8")
                partial.chmod(0o755)
                home.publish(partial, path)
            written[program] = path
    return written


def command(toolchain: Toolchain, program: str, folders: Iterable[Path]) -> str:
    """The shell's words that start a program in the sandbox; a folder that is gone by then does not keep it from it."""
    rooms = (home.room(name) for name in ROOMS)
    grant = Grant("ide: language servers", reads=(*rooms, *folders), limits=UNLIMITED)
    words = toolchain.command([program], grant)
    return shlex.join("--ro-bind-try" if word == "--ro-bind" else word for word in words)
