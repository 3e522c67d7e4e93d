# SPDX-License-Identifier: MIT
"""Cut the console log into boot and steps, and mark the lines that matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from r4l.klog import Splat
from r4l.klog.cutter import SplatCutter
from r4l.klog.records import parse_line
from r4l.report import clean
from r4l.report.model import Step

MAX_BYTES = 32 << 20
BOOT_LINES = 1500
STEP_LINES = 160
KEPT_EVENTS = 60

_STAMP = re.compile(r"^(?:<\d{1,3}>)?\[ {0,8}(\d{1,9}\.\d{6})\](?:\[ *[TC]\d+\])? ?(.*)$", re.DOTALL)
_CAUTION = re.compile(
    r"\b(?:error|failed|failure|fatal|timed? ?out|hang|hung|verification failed|taints? kernel|tainting|tainted)\b",
    re.IGNORECASE,
)
_SYNC = "r4l-sync "


@dataclass(frozen=True)
class LogLine:
    """One line of the console.

    Attributes:
        number: from 1, as an editor counts.
        stamp: the kernel's time stamp in seconds since boot, as text; empty for a line that is not the kernel's.
        kind: `trouble` (a complaint of the kernel), `caution`, `sync` (a mark that r4l itself logged), or empty.
        own: True if the line names the module under test.
        gap: number of lines left out before this one.
    """

    number: int
    stamp: str
    text: str
    kind: str = ""
    own: bool = False
    gap: int = 0


@dataclass
class Segment:
    """Lines of the boot, of a step, or between steps.

    Attributes:
        step: the step that ran; None for a segment outside steps.
        name: heading.
        total: number of lines, shown or not.
        trailing_gap: number of lines left out after the last shown one.
    """

    name: str
    step: Step | None = None
    lines: list[LogLine] = field(default_factory=list)
    total: int = 0
    trailing_gap: int = 0
    troubles: int = 0
    cautions: int = 0
    own: int = 0
    boot: bool = False


@dataclass
class Log:
    """The whole console log.

    Attributes:
        note: sentence about a fault of the file; empty without one.
    """

    segments: list[Segment] = field(default_factory=list)
    total: int = 0
    note: str = ""

    @property
    def troubles(self) -> int:
        """Number of complaints of the kernel (a trace counts each of its lines)."""
        return sum(segment.troubles for segment in self.segments)

    @property
    def own(self) -> int:
        """Number of lines that name the module under test."""
        return sum(segment.own for segment in self.segments)


def read(file: Path, steps: Sequence[Step], module: str) -> Log:
    """Read and cut a console log.

    Args:
        file: raw bytes of the serial port; any bytes are fine.
        steps: their `console_begin` and `console_end` are the boundaries.
        module: name of the module under test; its lines are marked.
    """
    log = Log()
    if not file.is_file():
        log.note = "There is no console log."
        return log
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        log.note = f"The console log cannot be read: {error.strerror or error}."
        return log
    if len(raw) > MAX_BYTES:
        log.note = f"Only the first {MAX_BYTES >> 20} MiB of the console log were read."
        raw = raw[:MAX_BYTES]
    every = raw.split(b"\n")
    if not every[-1].strip():
        every.pop()
    if not every:
        log.note = log.note or "The console log is empty: the guest printed nothing."
        return log
    log.total = len(every)
    lines = _mark(every, module)
    for segment, begin, end in _cut(steps, len(every)):
        if segment.step is None and begin == end:
            continue
        _fill(segment, lines[begin:end], BOOT_LINES if segment.boot else STEP_LINES)
        log.segments.append(segment)
    return log


def _cut(steps: Sequence[Step], total: int) -> list[tuple[Segment, int, int]]:
    """Return the segments, each with its first line and the line after its last; boundaries are clamped to the log."""
    placed = [
        (min(max(step.console_begin, 0), total), index, step)
        for index, step in enumerate(steps)
        if step.console_begin is not None
    ]
    placed.sort(key=lambda entry: entry[:2])
    if not placed:
        return [(Segment("the whole console", boot=True), 0, total)]
    cut = [(Segment("boot, before the first step", boot=True), 0, placed[0][0])]
    ends = [begin for begin, _index, _step in placed[1:]] + [total]
    for (begin, index, step), limit in zip(placed, ends, strict=True):
        end = limit if step.console_end is None else min(max(step.console_end, begin), limit)
        cut.append((Segment(step.title or step.row, step), begin, end))
        cut.append((Segment("after the last step" if index == placed[-1][1] else "between steps"), end, limit))
    return cut


def _mark(every: Sequence[bytes], module: str) -> list[LogLine]:
    """Return text, time stamp and kind of each line."""
    words = re.escape(module).replace("_", "[-_]").replace(r"\-", "[-_]")
    own = re.compile(rf"(?<![\w-]){words}(?![\w-])") if module else None
    texts = [clean.line(raw[: 8 * clean.MAX_LINE]) for raw in every]
    troubles = _troubles(texts)
    marked: list[LogLine] = []
    for number, text in enumerate(texts, 1):
        stamped = _STAMP.match(text)
        stamp, message = (stamped[1], stamped[2]) if stamped else ("", text)
        kind = ""
        if number in troubles:
            kind = "trouble"
        elif _CAUTION.search(message):
            kind = "caution"
        elif message.startswith(_SYNC):
            kind = "sync"
        marked.append(LogLine(number, stamp, message, kind, bool(own and own.search(message))))
    return marked


def _troubles(texts: Iterable[str]) -> set[int]:
    """Return the numbers of the lines that are complaints of the kernel."""
    cutter = SplatCutter()
    troubles: set[int] = set()

    def keep(splats: Iterable[Splat]) -> None:
        troubles.update(record.number for splat in splats for record in splat.records)

    for number, text in enumerate(texts, 1):
        for record in parse_line(text):
            keep(cutter.feed(replace(record, number=number)))
    keep(cutter.flush())
    return troubles


def _fill(segment: Segment, lines: Sequence[LogLine], limit: int) -> None:
    """Put lines into a segment; if there are too many, keep the ends and, between them, the first events."""
    segment.total = len(lines)
    segment.troubles = sum(line.kind == "trouble" for line in lines)
    segment.cautions = sum(line.kind == "caution" for line in lines)
    segment.own = sum(line.own for line in lines)
    if len(lines) <= limit:
        segment.lines = list(lines)
        return
    half = limit // 2
    middle = [line for line in lines[half:-half] if line.kind == "trouble" or line.own]
    kept = [*lines[:half], *middle[:KEPT_EVENTS], *lines[-half:]]
    previous = kept[0].number - 1
    for line in kept:
        gap = line.number - previous - 1
        segment.lines.append(LogLine(line.number, line.stamp, line.text, line.kind, line.own, gap))
        previous = line.number
