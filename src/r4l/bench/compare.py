# SPDX-License-Identifier: MIT
"""The figures of one or two drivers as a table for the terminal and as data for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from r4l.bench.measure import Figures
from r4l.bench.workloads import Workload

BAR = 13
"""Characters of a ratio's scale, whose middle is 1."""
NAME = 16
"""Characters in a line of a driver's name; longer names are folded."""
REACH = 0.1
"""Distance from 1 at either end of the scale."""

NO_RATIO = "–"
"""Sign in the place of a ratio that means nothing."""


def as_dict(workloads: Sequence[Workload], found: Mapping[str, Figures]) -> dict[str, Any]:
    """Put the figures into JSON's types.

    Args:
        workloads: the measurements, in the order of the table.
        found: figures of each driver by its name; the driver under measurement first.
    """
    rows = []
    for workload in workloads:
        row: dict[str, Any] = {
            "name": workload.name,
            "about": workload.about,
            "unit": workload.unit,
            "better": workload.better,
            "figures": {name: figures.counted[workload.name] for name, figures in found.items()},
            "spread": max(figures.spread(workload.name) for figures in found.values()),
            "timed": {name: figures.timed.get(workload.name, []) for name, figures in found.items()},
        }
        if len(found) == 2:
            row["ratio"] = _ratio(workload, found)
        rows.append(row)
    return {
        "workloads": rows,
        "differences": {name: figures.differences for name, figures in found.items()},
    }


def table(workloads: Sequence[Workload], found: Mapping[str, Figures]) -> Table:
    """Lay the figures out for a terminal. Arguments as those of `as_dict`."""
    pair = len(found) == 2
    timed = any(figures.timed for figures in found.values())
    shown = Table(box=None, pad_edge=False)
    shown.add_column("workload", no_wrap=True)
    for name in found:
        # A path is long, and the ends of two tell them apart.
        shown.add_column(escape(name), justify="right", overflow="fold", max_width=NAME)
    shown.add_column("unit", style="dim", no_wrap=True)
    if pair:
        shown.add_column("ratio", justify="right", no_wrap=True)
        shown.add_column(" worse│better", no_wrap=True, width=BAR)
    shown.add_column("spread", justify="right", style="dim", no_wrap=True)
    if timed and pair:
        shown.add_column("clock", justify="right", style="dim", no_wrap=True)
    for workload in workloads:
        cells = [
            escape(workload.name),
            *(_number(figures.median(workload.name)) for figures in found.values()),
            escape(workload.unit),
        ]
        if pair:
            cells += _compared(_ratio(workload, found))
        cells.append(f"{100 * max(figures.spread(workload.name) for figures in found.values()):.2f} %")
        if timed and pair:
            ours, theirs = (figures.timed[workload.name][0] for figures in found.values())
            cells.append(f"{workload.ratio(ours, theirs):.2f}")
        shown.add_row(*cells)
    derived = [figures.differences for figures in found.values()]
    for name in derived[0]:
        cells = [escape(name), *(_number(values[name]) for values in derived), "instr./frame"]
        if pair:
            ours, theirs = (values[name] for values in derived)
            # Errors of the two workloads can be larger than their difference.
            cells += _compared(theirs / ours) if min(ours, theirs) > 0 else [NO_RATIO]
        shown.add_row(*cells)
    return shown


def _ratio(workload: Workload, found: Mapping[str, Figures]) -> float:
    ours, theirs = (figures.median(workload.name) for figures in found.values())
    return workload.ratio(ours, theirs)


def _compared(ratio: float) -> list[str]:
    return [f"{ratio:.3f}", _scale(ratio)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scale(ratio: float) -> str:
    """Draw a ratio as a bar that begins at 1, in the middle, and ends at the edge where it reaches beyond the scale."""
    middle = BAR // 2
    length = min(middle, round(abs(ratio - 1) / REACH * middle))
    beyond = abs(ratio - 1) > REACH
    if ratio < 1:
        bar = ("◀" if beyond else "━") + "━" * (length - 1) if length else ""
        return f"[red]{bar:>{middle}}[/]│"
    bar = "━" * (length - 1) + ("▶" if beyond else "━") if length else ""
    return f"{'':{middle}}│[green]{bar}[/]"
