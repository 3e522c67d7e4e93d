# SPDX-License-Identifier: MIT
"""The kernel's own make, run inside the toolchain."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from r4l.errors import R4LError
from r4l.process import Say, run_logged
from r4l.toolchain import Toolchain

IDENTITY = {"KBUILD_BUILD_USER": "r4l", "KBUILD_BUILD_HOST": "r4l"}
"""What /proc/version names, instead of the user's account and machine."""


def kernel_make(
    toolchain: Toolchain,
    source: Path,
    build: Path,
    arguments: Sequence[str],
    log: Path,
    failure: Callable[[int, str], R4LError],
    say: Say,
    *,
    jobs: int = 0,
    over: Mapping[Path, Path] | None = None,
    over_readable: Mapping[Path, Path] | None = None,
) -> str:
    """Run make for a kernel; what an interrupt left, the next run goes on from.

    Args:
        source, build: its trees; the same folder where it is built in place.
        arguments: variables and targets.
        jobs: how many at once; one more than there are CPUs where 0.
        failure: as for `run_logged`.
        over, over_readable: folders that stand in the place of the trees, as for `Toolchain.command`.

    Returns:
        All that it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = [] if source == build else [f"O={build}"]
    count = jobs or (os.cpu_count() or 1) + 1
    argv: list[str | Path] = ["make", "-C", source, *output, f"-j{count}", *arguments]
    readable = [] if source == build else [source]
    command = toolchain.command(
        argv, readable=readable, binds=[build], env=IDENTITY, over=over, over_readable=over_readable
    )
    return run_logged(command, log, failure, say=say, tail_lines=40)
