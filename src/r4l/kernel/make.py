# SPDX-License-Identifier: MIT
"""Run the kernel's own make inside the toolchain."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from r4l import limits
from r4l.errors import R4LError
from r4l.kernel import unfinished
from r4l.process import Say
from r4l.toolchain import Grant, Toolchain

IDENTITY = {"KBUILD_BUILD_USER": "r4l", "KBUILD_BUILD_HOST": "r4l"}
"""Names shown by /proc/version in place of the user's account and host."""


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
    writes: Sequence[Path] = (),
    over: Mapping[Path, Path] | None = None,
    over_reads: Mapping[Path, Path] | None = None,
    mark: Path | None = None,
) -> str:
    """Run make for a kernel and return its output. After an interrupt, the next run continues.

    Args:
        source: the source tree.
        build: the build folder; the source tree for a build in place.
        arguments: variables and targets.
        jobs: number of parallel jobs; 0 for one more than there are CPUs.
        failure: as for `run_logged`.
        writes: further folders that make writes to, such as INSTALL_MOD_PATH.
        over: folders mounted in place of the trees, as in `Grant`.
        over_reads: the same, read-only.
        mark: file that exists while make runs; None if the caller handles an interrupt.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = [] if source == build else [f"O={build}"]
    count = jobs or (os.cpu_count() or 1) + 1
    argv: list[str | Path] = ["make", "-C", source, *output, f"-j{count}", *arguments]
    grant = Grant(
        "kernel: build",
        writes=(*writes, *([] if over else [build])),
        reads=() if source == build or over_reads else (source,),
        over=over or {},
        over_reads=over_reads or {},
        limits=limits.kernel(),
    )
    what = f"the build of the kernel in {build}"
    if mark:
        unfinished.forget(mark, [build], all_made=False)
    with unfinished.noted(mark) if mark else nullcontext():
        return toolchain.run_logged(argv, grant, log, failure, env=IDENTITY, what=what, say=say, tail_lines=40)
