# SPDX-License-Identifier: MIT
"""The results of a sweep in a file, a line of JSON each, from which an interrupted sweep goes on.

Each line is on the disk before the next result is taken. A line that was cut off by the end of the computer is ignored.
A later result of a cell takes the place of an earlier one; a line says which were forgotten.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from r4l.errors import EnvironmentFault, UsageError
from r4l.sweep.cells import EventPlace, SweepCell, trigger

FILE = "results.jsonl"


@dataclass(frozen=True)
class Baseline:
    """A driver's life without a fault.

    Attributes:
        key: of the subject (`SweptDriver.key`).
        label: the driver's name.
        places: places at which faults can come.
        messages: the kernel's messages (`verdict.messages`).
        seconds: wall clock on the host.
        phases: name, exit code, seconds and output of each phase.
        lines: the driver's source lines (`lines.Lines`).
    """

    key: str
    label: str
    places: tuple[EventPlace, ...]
    messages: tuple[str, ...]
    seconds: float
    phases: tuple[tuple[str, int | None, float, str], ...]
    lines: dict[str, list[list[str]]] = field(default_factory=dict)

    def source(self, cell: SweepCell) -> str:
        """Return the source line of the access at which a cell's fault comes, in the life without a fault; empty if it
        is not known, or the fault is not at an access."""
        found = self.lines.get(f"{cell.phase} {cell.fault.place}", [])
        texts = [text for event, text in found if trigger(cell.fault.kind) in ("access", event)]
        return texts[cell.fault.nth - 1] if cell.fault.nth <= len(texts) else ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return the baseline for what `asdict` made of it, by way of JSON."""
        places = tuple(
            EventPlace(**place | {"parts": tuple(map(tuple, place.get("parts", ())))}) for place in data["places"]
        )
        phases = tuple(tuple(phase) for phase in data["phases"])
        return cls(**{**data, "places": places, "messages": tuple(data["messages"]), "phases": phases})


@dataclass(frozen=True)
class CellResult:
    """The result of one cell.

    Attributes:
        key: of the subject (`SweptDriver.key`).
        cell: text of the cell.
        verdict: one of `verdict.VERDICTS`.
        reason: the verdict's reason, one sentence.
        phases: name, exit code, seconds and output of each phase, and of each phase of the second life.
        log: the kernel's log.
        trace: events at the device around the fault.
        at: position of the fault in `trace`; -1 if it did not come.
        splat: text of the first complaint with its trace; empty without one.
        source: source line or function of the driver that did the access at which the fault came; empty if unknown.
        seconds: wall clock on the host.
        cpu: processor seconds on the host.
        host: name of the computer.
    """

    key: str
    cell: str
    verdict: str
    reason: str
    phases: Sequence[Sequence[Any]] = ()
    log: Sequence[str] = ()
    trace: Sequence[str] = ()
    at: int = -1
    splat: str = ""
    source: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    host: str = ""


@dataclass
class Results:
    """The results in a folder. As a context manager it has the folder for itself.

    Args:
        folder: made if it is missing.

    Attributes:
        baselines: the lives without a fault, by the subject's key.
        cells: results by the subject's key and the cell's text.
    """

    folder: Path
    baselines: dict[str, Baseline] = field(default_factory=dict)
    cells: dict[tuple[str, str], CellResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._file: int | None = None
        self._read()

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            self._file = None
            raise UsageError(f"another sweep works in {self.folder}", "wait for it, or use another --into") from None
        # What another one has added since.
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, one: Baseline | CellResult) -> None:
        """Add a result; it is on the disk when this returns.

        Raises:
            EnvironmentFault: it cannot be written, and does not count.
        """
        self._write("baseline" if isinstance(one, Baseline) else "cell", asdict(one))
        self._take(one)

    def forget(self, keys: Collection[str], cells: Collection[str] | None = None) -> None:
        """Forget results of some subjects; they do not come back when this returns, whatever happens.

        Args:
            keys: of the subjects.
            cells: texts of the cells to forget; None for all, and the lives without a fault.

        Raises:
            EnvironmentFault: that cannot be written, and they count.
        """
        self._write("forgotten", {"keys": list(keys), "cells": None if cells is None else list(cells)})
        self._drop(keys, cells)

    def _drop(self, keys: Collection[str], cells: Collection[str] | None) -> None:
        if cells is None:
            self.baselines = {key: one for key, one in self.baselines.items() if key not in keys}
            self.cells = {where: one for where, one in self.cells.items() if where[0] not in keys}
        else:
            for where in [(key, cell) for key in keys for cell in cells]:
                self.cells.pop(where, None)

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a line to the disk, or nothing."""
        assert self._file is not None
        text = (json.dumps({name: data}, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            # After a line that was cut off.
            text = b"\n" + text
        rest = memoryview(text)
        try:
            while rest:
                # On a full disk the first part fits, and only the next call fails.
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise EnvironmentFault(
                f"{self.path} cannot be written: {error.strerror}",
                "make room, or use another --into, and run the command again, which goes on",
            ) from error

    def _take(self, one: Baseline | CellResult) -> None:
        if isinstance(one, Baseline):
            self.baselines[one.key] = one
        else:
            self.cells[one.key, one.cell] = one

    def _read(self) -> None:
        if not self.path.is_file():
            return
        for line in self.path.read_bytes().split(b"\n"):
            try:
                data = json.loads(line)
                if "forgotten" in data:
                    self._drop(**data["forgotten"])
                    continue
                self._take(Baseline.of(data["baseline"]) if "baseline" in data else CellResult(**data["cell"]))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                # Cut off, or of another version of r4l: it is done again.
                continue
