# SPDX-License-Identifier: MIT
"""Work folders of runs: made under the home, gone after a clean run, the failed ones kept for a while."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from secrets import token_hex

from r4l import home, inuse
from r4l.errors import EnvironmentFault

KEPT = 20
"""Folders of failed runs that are kept."""


def make(wanted: Path | None) -> Path:
    """The work folder of a run: `wanted`, made if missing, or a new one."""
    if wanted is not None:
        path = Path(wanted).absolute()
    else:
        _prune()
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{token_hex(2)}"
        path = home.room("runs") / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"cannot make the work folder {path}: {error.strerror}") from error
    if wanted is None:
        inuse.hold(path)
    for name in ("console.log", "qmp.log", "qemu.log"):
        (path / name).unlink(missing_ok=True)
    return path


def remove(path: Path) -> None:
    """Remove a work folder that `make` made under the home."""
    inuse.let_go(path)
    shutil.rmtree(path, ignore_errors=True)


def leave(path: Path) -> None:
    """Keep a work folder for whoever wants to know why its run failed; `_prune` and `r4l clean` may have it."""
    inuse.let_go(path)


def _prune() -> None:
    runs = sorted((path for path in home.room("runs").iterdir() if path.is_dir()), key=lambda path: path.name)
    for path in runs[:-KEPT]:
        # The name holds its owner's pid; a run that still goes on is not ours to touch.
        owner = path.name.split("-")[2:3]
        if owner and owner[0].isdigit() and not Path(f"/proc/{owner[0]}").exists():
            remove(path)
