# SPDX-License-Identifier: MIT
"""Record the host's files that a preparation reads, and detect their changes.

A function's code does not show which files it opens; Python reports them while it runs (`sys.addaudithook`, event
`open`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from r4l import home
from r4l.vm.fingerprint import is_library

NO_INPUT = tuple(map(Path, ("/proc", "/sys", "/dev")))
COMPILED = ".pyc"
_local = threading.local()
_guard = threading.Lock()
_hooked = False


@contextmanager
def recorded(outputs: Sequence[Path]) -> Iterator[set[Path]]:
    """Collect the files that this thread opens for reading during the context.

    Args:
        outputs: folders whose files are ignored, since the run itself wrote them.
    """
    global _hooked
    with _guard:
        if not _hooked:
            # Audit hooks cannot be removed; without a set to fill, this one does nothing.
            sys.addaudithook(_note)
            _hooked = True
    found: set[str] = set()
    files: set[Path] = set()
    _local.found = found
    try:
        yield files
    finally:
        _local.found = None
        inside = (*NO_INPUT, home.room("runs"), home.room("locks"), home.room("snapshots"), *outputs)
        for name in found:
            path = Path(name)
            if path.suffix != COMPILED and not any(path.is_relative_to(folder) for folder in inside):
                files.update({path} if path.is_file() and not is_library(name) else ())


def _note(event: str, arguments: tuple[object, ...]) -> None:
    found: set[str] | None = getattr(_local, "found", None)
    if event != "open" or found is None:
        return
    path, _mode, flags = arguments
    # Mode is None for os.open; the flags tell in both cases.
    if isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int) and flags & os.O_ACCMODE != os.O_WRONLY:
        found.add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (no look at the disk amid an open)


def save(files: set[Path], into: Path) -> None:
    """Save the state of files."""
    into.write_text(json.dumps({str(path): _as_it_is(path) for path in sorted(files)}), encoding="utf-8")


def unchanged(noted: Path) -> bool:
    """True if the saved files are unchanged. A missing record lists no files."""
    try:
        before: dict[str, list[str | int]] = json.loads(noted.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    return all(_same(Path(name), entry) for name, entry in before.items())


def _same(path: Path, before: list[str | int]) -> bool:
    try:
        status = path.stat()
        return [status.st_mtime_ns, status.st_size] == before[:2] or _as_it_is(path)[2] == before[2]
    except OSError:
        return False


def _as_it_is(path: Path) -> list[str | int]:
    status = path.stat()
    return [status.st_mtime_ns, status.st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
