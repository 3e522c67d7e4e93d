# SPDX-License-Identifier: MIT
"""The page of a sweep: a map of phases, places and faults in one HTML file that needs no other file."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from r4l.pci import FAULT_KINDS
from r4l.sweep.as_test import command
from r4l.sweep.cells import NO_MEMORY, SweepCell
from r4l.sweep.results import CellResult, Results
from r4l.sweep.subject import SweptDriver
from r4l.sweep.verdict import FINDINGS, VERDICTS

PAGE = "sweep.html"
STAMP = re.compile(r"\[ *\d+\.\d+\] | *\d+ +\d+\.\d+ ")
"""Time of a message, or number and time of an event: the part of a line that differs from life to life."""


@dataclass(frozen=True)
class Square:
    """A cell in the map: its number in the page's data, its verdict, and a title."""

    number: int
    verdict: str
    title: str


@dataclass
class PhaseMap:
    """The map of one phase.

    Attributes:
        name: of the phase.
        about: one line that explains it.
        kinds: columns, kinds of faults.
        rows: places.
        squares: squares of a place, a kind and a driver (its number), by these.
    """

    name: str
    about: str
    kinds: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    squares: dict[tuple[str, str, int], list[Square]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class DriverSummary:
    """A driver on the page.

    Attributes:
        label: its name.
        counts: verdict, number of cells, and percent of all.
        total: number of cells.
        findings: numbers of the cells that show a defect.
        seconds: processor seconds of a cell, on the average.
    """

    label: str
    counts: list[tuple[str, int, float]]
    total: int
    findings: list[int]
    seconds: float


def write(folder: Path, subjects: Sequence[SweptDriver], results: Results) -> Path:
    """Write `sweep.html`, and return its path. An older page is replaced only by a complete one.

    Args:
        folder: of the results.
        subjects: drivers, side by side.
        results: the results.
    """
    final = folder / PAGE
    partial = folder / f".{PAGE}.partial"
    # A trace may hold what is no text: bytes of a file's name (os.fsdecode). In JSON that is its escape.
    partial.write_text(render(subjects, results), encoding="utf-8", errors="backslashreplace")
    partial.replace(final)
    return final


def render(subjects: Sequence[SweptDriver], results: Results) -> str:
    """Return the page as text; arguments as for `write`."""
    found: list[list[CellResult]] = [
        [one for (key, _), one in results.cells.items() if key == subject.key] for subject in subjects
    ]
    cells = [(index, one) for index, those in enumerate(found) for one in those]
    numbers = {id(one): number for number, (_, one) in enumerate(cells)}
    drivers = [_driver(subject.label, those, numbers) for subject, those in zip(subjects, found, strict=True)]
    texts: dict[str, int] = {}
    data = [_data(subjects[index], one, results.folder, texts) for index, one in cells]
    environment = Environment(
        loader=PackageLoader("r4l.sweep"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _embedded
    return environment.get_template("sweep.html.j2").render(
        drivers=drivers,
        maps=_maps(subjects, cells),
        verdicts=VERDICTS,
        kinds={
            **{name: kind.text for name, kind in FAULT_KINDS.items()},
            NO_MEMORY: "an allocation of the driver fails",
        },
        findings=FINDINGS,
        cells=data,
        data={"cells": data, "texts": list(texts)},
        subject=subjects[0],
    )


def _embedded(value: object) -> Markup:
    """Return JSON that cannot end its `<script>` (HTML, 4.12.1.3)."""
    text = (
        json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
    )
    return Markup(text.replace("&", "\\u0026").replace("\u2029", "\\u2029"))


def _driver(label: str, results: Sequence[CellResult], numbers: dict[int, int]) -> DriverSummary:
    found = Counter(one.verdict for one in results)
    total = len(results)
    rows = [(name, found[name], 100 * found[name] / total) for name in VERDICTS if found[name]]
    worst = {name: place for place, name in enumerate(reversed(FINDINGS))}
    bad = sorted((one for one in results if one.verdict in worst), key=lambda one: (worst[one.verdict], one.cell))
    seconds = sum(one.cpu for one in results) / total if total else 0.0
    return DriverSummary(label, rows, total, [numbers[id(one)] for one in bad], seconds)


def _maps(subjects: Sequence[SweptDriver], cells: Sequence[tuple[int, CellResult]]) -> list[PhaseMap]:
    maps = {phase.name: PhaseMap(phase.name, phase.about) for phase in subjects[0].phases}
    order = [*FAULT_KINDS, NO_MEMORY]
    parsed = [(index, number, SweepCell.parse(one.cell), one) for number, (index, one) in enumerate(cells)]
    for index, number, cell, one in sorted(parsed, key=lambda entry: entry[2].fault.nth):
        found = maps[cell.phase]
        kind = cell.fault.kind
        if kind not in found.kinds:
            found.kinds.append(kind)
        if cell.place not in found.rows:
            found.rows.append(cell.place)
        found.squares[cell.place, kind, index].append(Square(number, one.verdict, f"{one.cell}: {one.verdict}"))
    for found in maps.values():
        found.kinds.sort(key=lambda kind: order.index(kind) if kind in order else len(order))
        found.rows.sort(key=lambda row: (" " in row, row))
    return [found for found in maps.values() if found.rows]


def _lines(lines: Sequence[str], texts: dict[str, int]) -> list[tuple[str, int]]:
    """Return each line as its stamp and the number of its text in `texts`, which has those of all lives once."""
    stamps = (match[0] if (match := STAMP.match(line)) else "" for line in lines)
    return [(one, texts.setdefault(line[len(one) :], len(texts))) for one, line in zip(stamps, lines, strict=True)]


def _data(subject: SweptDriver, one: CellResult, folder: Path, texts: dict[str, int]) -> dict[str, Any]:
    return {
        "driver": subject.label,
        "cell": one.cell,
        "verdict": one.verdict,
        "reason": one.reason,
        "source": one.source,
        # Of a success, the output is not shown.
        "phases": [(name, code, seconds, said if code != 0 else "") for name, code, seconds, said in one.phases],
        "trace": _lines(one.trace, texts),
        "at": one.at,
        "log": _lines(one.log, texts),
        "splat": one.splat,
        "seconds": f"{one.seconds:.1f} s on {one.host}, {one.cpu:.1f} s of a processor" if one.host else "",
        "again": command(subject, one.cell, folder),
    }
