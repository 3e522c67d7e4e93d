# SPDX-License-Identifier: MIT
"""Work folders of runs: created in the home, removed after a clean run, kept for a while after a failed one."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from secrets import token_hex

from r4l import home, inuse
from r4l.errors import EnvironmentFault

KEPT = 20
"""Number of kept folders of failed runs."""
LOGS = ("console.log", "qmp.log", "qemu.log")
"""Files that a machine's parts append to."""


def make(wanted: Path | None) -> Path:
    """Return the work folder of a run: `wanted`, created if missing, or a new one."""
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
    for name in LOGS:
        for log in (path / name, _aside(path / name)):
            log.unlink(missing_ok=True)
    return path


def begin_again(path: Path) -> None:
    """Put the logs of a boot that failed aside (`console.1.log`): the next boot's hold nothing else than that boot."""
    for name in LOGS:
        with contextlib.suppress(FileNotFoundError):
            (path / name).replace(_aside(path / name))


def _aside(log: Path) -> Path:
    return log.with_suffix(f".1{log.suffix}")


def remove(path: Path) -> None:
    """Remove a work folder that `make` created in the home."""
    inuse.let_go(path)
    shutil.rmtree(path, ignore_errors=True)


def leave(path: Path) -> None:
    """Keep a failed run's work folder for inspection; `_prune` and `r4l clean` may remove it."""
    inuse.let_go(path)


def _prune() -> None:
    runs = sorted((path for path in home.room("runs").iterdir() if path.is_dir()), key=lambda path: path.name)
    for path in runs[:-KEPT]:
        # The name contains its owner's pid; what a running process has left stays, for the messages that name it.
        owner = path.name.split("-")[2:3]
        if not owner or not owner[0].isdigit() or Path(f"/proc/{owner[0]}").exists():
            continue
        # The owner may be in another namespace of pids; its lock tells.
        with contextlib.suppress(FileNotFoundError), inuse.exclusively(path) as alone:
            if alone:
                shutil.rmtree(path, ignore_errors=True)
