# SPDX-License-Identifier: MIT
"""Lay out stages and steps on one time axis. Positions are percent of the axis, so the drawing fits any width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from r4l.report import clean
from r4l.report.model import Result

MAX_BARS = 80
_MANTISSAS = (1.0, 2.0, 5.0, 10.0)
_TICKS = 8
# Percent of the axis: the least width that can be seen.
_THINNEST = 0.1


@dataclass(frozen=True)
class TimelineBar:
    """One stage or step.

    Attributes:
        kind: `stage` or `step`.
        left: percent of the axis.
        width: percent of the axis.
        open: True if the stage never ended; the bar then reaches the end of the axis.
    """

    kind: str
    label: str
    name: str
    start: float
    seconds: float
    left: float
    width: float
    ok: bool | None
    open: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark on the axis: percent and seconds as text."""

    left: float
    label: str


@dataclass
class Timeline:
    """All bars, sorted by their begin.

    Attributes:
        length: seconds that the axis spans.
        undated: names of stages and steps without a start.
        left_out: number of bars past the limit.
        saved: seconds gained by running stages side by side.
    """

    bars: list[TimelineBar] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    length: float = 0.0
    undated: list[str] = field(default_factory=list)
    left_out: int = 0
    saved: float = 0.0


def draw(result: Result) -> Timeline:
    """Lay out the stages and the steps of a run."""
    line = Timeline()
    entries: list[tuple[str, str, str, float, float | None, bool | None]] = []
    stages = (("stage", "", stage.name, stage.start, stage.seconds, stage.ok) for stage in result.stages)
    steps = (("step", step.row, step.title, step.start, step.seconds, step.ok) for step in result.steps)
    for kind, label, name, start, seconds, ok in chain(stages, steps):
        name = clean.line(name, 80) or "unnamed"
        if start is None:
            line.undated.append(f"{label} {name}".strip())
        else:
            entries.append((kind, clean.line(label, 12), name, start, seconds, ok))
    if not entries:
        return line
    ends = [start + (seconds or 0.0) for _kind, _label, _name, start, seconds, _ok in entries]
    line.length = max([*ends, result.seconds or 0.0]) or 1.0
    # Stages only: one stage may contain all steps.
    line.saved = _overlap(
        (stage.start, stage.start + stage.seconds)
        for stage in result.stages
        if stage.start is not None and stage.seconds is not None
    )
    entries.sort(key=lambda entry: entry[3])
    line.left_out = max(0, len(entries) - MAX_BARS)
    for kind, label, name, start, seconds, ok in entries[:MAX_BARS]:
        span = line.length - start if seconds is None else seconds
        left = min(100 * start / line.length, 100 - _THINNEST)
        width = min(max(100 * span / line.length, _THINNEST), 100 - left)
        line.bars.append(TimelineBar(kind, label, name, start, span, left, width, ok, seconds is None))
    line.ticks = _ticks(line.length)
    return line


def seconds_text(value: float | None) -> str:
    """Format a duration for people: `0.03 s`, `12.3 s`, `2 min 05 s`; a dash for an unknown one."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 600 else f"{minutes // 60} h {minutes % 60:02d} min"


def _ticks(length: float) -> list[Tick]:
    """Return marks at round numbers of seconds: zero and at most eight more."""
    step = 1e-3
    while length / (step * 10) > _TICKS:
        step *= 10
    step *= next(factor for factor in _MANTISSAS if length / (step * factor) <= _TICKS or factor == _MANTISSAS[-1])
    digits = 0 if step >= 1 else len(f"{step:g}") - 2
    return [Tick(100 * n * step / length, f"{n * step:.{digits}f} s") for n in range(int(length / step + 1e-9) + 1)]


def _overlap(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds of all spans together minus the seconds during which any of them ran."""
    total = covered = reach = 0.0
    for start, end in sorted(spans):
        total += end - start
        covered += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return total - covered
