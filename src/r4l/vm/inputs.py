# SPDX-License-Identifier: MIT
"""Record what a preparation uses of the host (`r4l.vm.watching`), and detect changes of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r4l import home
from r4l.vm.fingerprint import is_library
from r4l.vm.host_files import look, names, stamp, stamp_or_none
from r4l.vm.watching import Uses, watched

NO_INPUT = tuple(map(Path, ("/proc", "/sys", "/dev")))
COMPILED = ".pyc"
Record = dict[str, Any]
STALE = "{}"
"""Text of a record that counts as changed."""


@contextmanager
def recorded(outputs: Sequence[Path], without: Collection[Path] = ()) -> Iterator[Record]:
    """Record what this thread, and those that it starts, use of the host during the context.

    Each thing counts as it is at its first use, or at the end if the threads changed it themselves.

    Args:
        outputs: folders that are ignored, since the run itself wrote them.
        without: files that are ignored, since their content is known otherwise.

    Raises:
        UsageError: something was done whose inputs cannot be determined.
    """
    uses, record = Uses(), Record()
    with watched(uses):
        yield record
    if uses.refused:
        # The error at that moment was caught by the preparation.
        raise uses.refusal()
    inside = (*NO_INPUT, *(home.room(room) for room in ("runs", "locks", "snapshots")), *outputs)

    def inputs(found: Iterable[str]) -> list[str]:
        paths = ((name, Path(name)) for name in sorted(found) if Path(name) not in without and not is_library(name))
        return [
            name
            for name, path in paths
            if path.suffix != COMPILED and not any(path.is_relative_to(folder) for folder in inside)
        ]

    def at_use(states: Mapping[str, Any], now: Callable[[str], Any]) -> dict[str, Any]:
        return {name: now(name) if name in uses.written else states[name] for name in inputs(states)}

    files = {name: _read(name, uses.opened[name], own=name in uses.written) for name in inputs(uses.opened)}
    record["files"] = {name: state for name, state in files.items() if state or name in uses.missed}
    record["seen"] = at_use(uses.seen, look)
    record["folders"] = at_use(uses.listed, names)
    record["variables"] = {
        name: os.environ.get(name) if name in uses.put else value for name, value in sorted(uses.variables.items())
    }
    record["environment"] = _environment() if uses.whole_environment else None
    record["directory"] = os.getcwd() if uses.relative else None  # noqa: PTH109 (as a text)


def save(record: Record, into: Path) -> None:
    """Save a record."""
    home.replace_text(into, json.dumps(record))


def unchanged(noted: Path) -> bool:
    """True if all that the saved record names is unchanged. A missing record names nothing."""
    try:
        before: Record = json.loads(noted.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    if "files" not in before:
        # `STALE`, or the record of an older r4l, which noted less.
        return False
    return (
        all(_same(name, entry) for name, entry in before["files"].items())
        and all(look(name) == entry for name, entry in before["seen"].items())
        and all(names(name) == entry for name, entry in before["folders"].items())
        and all(os.environ.get(name) == value for name, value in before["variables"].items())
        and (before["environment"] is None or before["environment"] == _environment())
        and (before["directory"] is None or before["directory"] == os.getcwd())  # noqa: PTH109 (as above)
    )


def _same(name: str, before: list[Any] | None) -> bool:
    if (now := stamp_or_none(name)) is None:
        return before is None
    return before is not None and (now == before[:3] or (now[2] == before[2] and _file(name) == [*now, before[3]]))


def _read(name: str, before: list[Any] | None, *, own: bool) -> list[Any] | None:
    """Return the state of a file for the record.

    Args:
        before: its stamp when it was opened.
        own: it was written by the one that read it.
    """
    now = _file(name)
    if own or (now or [])[:3] == (before or []):
        return now
    # Another content than the present one was read. It is gone: the record counts as changed.
    return [*before, ""] if before else None


def _file(name: str) -> list[Any] | None:
    """Return a file's state: time of its last change, size, permissions, hash. None if there is no file."""
    try:
        return [*stamp(name), hashlib.sha256(Path(name).read_bytes()).hexdigest()]
    except OSError:
        return None


def _environment() -> str:
    """Return a hash of all environment variables."""
    return hashlib.sha256(json.dumps(sorted(os.environ.items())).encode("utf-8", "surrogatepass")).hexdigest()
