# SPDX-License-Identifier: MIT
"""Render the page: the results of the other modules in one HTML file that needs no other file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from r4l.report import clean, ladder, log, model, packets, timeline
from r4l.report.model import CommandRun, Result, Step

REPORT = "report.html"
MAX_STEPS = 200
MAX_COMMANDS = 40
MAX_CAPTURES = 8
MAX_TABLE = 60
MAX_RTTS = 240
_PING_TIMES = re.compile(r"(?:round-trip|rtt) min/avg/max\S* = ([\d.]{1,12})/([\d.]{1,12})/([\d.]{1,12})")


@dataclass(frozen=True)
class Piece:
    """A run of text, as code or as prose."""

    text: str
    code: bool


@dataclass(frozen=True)
class CommandView:
    """A command prepared for display; `state` is `good`, `bad` or `open` (the command did not end)."""

    command: str
    exit_code: int | None
    stdout: clean.Clipped
    stderr: clean.Clipped
    seconds: float | None
    state: str


@dataclass(frozen=True)
class StepView:
    """A step prepared for display; `state` is `passed`, `failed` or `open`."""

    row: str
    title: str
    item: list[Piece]
    expected: str
    seen: str
    error: str
    seconds: float | None
    state: str
    commands: list[CommandView]
    more_commands: int


@dataclass(frozen=True)
class VerdictView:
    """The head of the page; `state` is `passed`, `failed` or `open`."""

    state: str
    word: str
    sentence: str
    causes: list[StepView]
    note: str


@dataclass(frozen=True)
class Evidence:
    """A file beside the report."""

    name: str
    href: str
    what: str
    size: int


@dataclass
class CaptureView:
    """A capture with its drawing."""

    capture: packets.Capture
    ladder: ladder.Ladder
    table: list[packets.DecodedPacket] = field(default_factory=list)
    bars: list[tuple[float, float, float | None]] = field(default_factory=list)


def write(folder: Path) -> Path:
    """Make `report.html` in the folder of a run, and return its path.

    An older page is replaced only by a complete one.

    Args:
        folder: holds `result.json`, and the console log and captures named there. A missing or damaged file is noted on
            the page.

    Raises:
        OSError: the page cannot be written.
    """
    final = folder / REPORT
    partial = folder / f".{REPORT}.partial"
    partial.write_text(render(folder), encoding="utf-8")
    partial.replace(final)
    return final


def render(folder: Path) -> str:
    """Return the page as text."""
    result, fault = model.load(folder)
    notes = [clean.line(fault)] if fault else []
    captures = _captures(folder, result, notes)
    steps = [_step(step) for step in result.steps[:MAX_STEPS]]
    if len(result.steps) > MAX_STEPS:
        notes.append(f"{len(result.steps) - MAX_STEPS} steps after the first {MAX_STEPS} are not shown.")
    console = _plain_name(result.files.console)
    journal = log.Log(note="The name of the console log is not a plain file name.")
    if console:
        journal = log.read(folder / console, result.steps[:MAX_STEPS], clean.line(result.module.name, 64))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            verdict=_verdict(result, steps, captures),
            steps=steps,
            timeline=timeline.draw(result),
            log=journal,
            captures=captures,
            guest_times=_guest_times(result.steps),
            started=_date(result.started),
            files=_files(folder, result),
            notes=notes,
            exported=sum(result.kernel.rust_symbols.exported.values()),
            max_decoded=packets.MAX_DECODED,
        )
    )


@cache
def environment() -> Environment:
    """Return the template environment of all pages: values are escaped, and missing values are errors."""
    templates = Environment(
        loader=PackageLoader("r4l.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        seconds=timeline.seconds_text,
        line=clean.line,
        plural=_plural,
        percent=lambda value: f"{value:.3f}%",
        milliseconds=lambda value: f"{value:.3f}",
        grouped=lambda value: f"{value:,}",
    )
    return templates


def _verdict(result: Result, steps: Sequence[StepView], captures: Sequence[CaptureView]) -> VerdictView:
    """Return the verdict as a word and a sentence; never `passed` if a step failed."""
    failed = [step for step in steps if step.state == "failed"]
    unended = [step for step in steps if step.state == "open"]
    module = clean.line(result.module.name, 64) or "The module"
    release = clean.line(result.kernel.release, 80)
    where = f"Linux {release}" if release else "the kernel"
    note = ""
    if failed or result.verdict == "failed":
        sentence = f"{len(failed)} of {_plural(len(steps), 'check')} failed for {module} on {where}."
        if not failed:
            sentence = f"The run of {module} on {where} failed outside its {_plural(len(steps), 'check')}."
        if result.verdict == "passed":
            note = "The run called itself passed, but a step of it failed."
        return VerdictView("failed", "Failed", sentence, [*failed, *unended], note)
    if result.verdict == "passed" and steps and not unended:
        pings = [packet for view in captures for packet in view.capture.requests]
        answered = sum(packet.rtt is not None for packet in pings)
        heard = f", and {answered} of {len(pings)} pings on the wire were answered" if pings else ""
        every = f"all {len(steps)} checks" if len(steps) > 1 else "its one check"
        return VerdictView("passed", "Passed", f"{module} ran in {where}: {every} passed{heard}.", [], note)
    if not steps:
        note = "No step was recorded, so nothing was proven."
    elif unended:
        note = f"{_plural(len(unended), 'step')} did not come to an end."
    passed = len(steps) - len(unended)
    sentence = (
        f"The run ended before its verdict; {passed} of {_plural(len(steps), 'recorded check')} passed until then."
    )
    return VerdictView("open", "No verdict", sentence, unended, note)


def _step(step: Step) -> StepView:
    return StepView(
        row=clean.line(step.row, 16) or "–",
        title=clean.line(step.title, 120) or (clean.line(step.row, 16) or "unnamed step"),
        item=_prose(clean.line(step.requirement, 600)),
        expected=clean.line(step.expected, 300),
        seen=clean.block(step.seen, 6, 300).text,
        error=clean.block(step.error or "", 30).text,
        seconds=step.seconds,
        state="open" if step.ok is None else "passed" if step.ok else "failed",
        commands=[_command(command) for command in step.commands[:MAX_COMMANDS]],
        more_commands=max(0, len(step.commands) - MAX_COMMANDS),
    )


def _command(command: CommandRun) -> CommandView:
    return CommandView(
        command=clean.block(command.command, 12).text,
        exit_code=command.exit_code,
        stdout=clean.block(command.stdout),
        stderr=clean.block(command.stderr),
        seconds=command.seconds,
        state="open" if command.exit_code is None else "good" if command.exit_code == 0 else "bad",
    )


def _captures(folder: Path, result: Result, notes: list[str]) -> list[CaptureView]:
    """Read the captures of a run; one that cannot be opened becomes a note."""
    views: list[CaptureView] = []
    for name in result.files.pcaps[:MAX_CAPTURES]:
        plain = _plain_name(name)
        if not plain:
            notes.append(f"A capture was left out, its name is not a plain file name: {clean.line(name, 80)}")
        elif not (folder / plain).is_file():
            notes.append(f"The capture {clean.line(plain, 80)} is missing.")
        else:
            views.append(_capture(packets.read(folder / plain)))
    if len(result.files.pcaps) > MAX_CAPTURES:
        notes.append(f"Captures after the first {MAX_CAPTURES} are not shown.")
    return views


def _capture(capture: packets.Capture) -> CaptureView:
    requests = capture.requests[:MAX_RTTS]
    highest = max((packet.rtt for packet in requests if packet.rtt is not None), default=0.0) or 1.0
    width = 100 / max(len(requests), 12)
    bars = [
        (width * (index + 0.5), 100.0 if packet.rtt is None else 100 * packet.rtt / highest, packet.rtt)
        for index, packet in enumerate(requests)
    ]
    capture.name = clean.line(capture.name, 80)
    return CaptureView(capture, ladder.draw(capture), capture.packets[:MAX_TABLE], bars)


def _guest_times(steps: Sequence[Step]) -> list[str]:
    """Return ping's own times inside the guest, as `min / avg / max` in milliseconds, for each ping that printed
    them."""
    found = (
        _PING_TIMES.search(command.stdout[-2000:])
        for step in steps[:MAX_STEPS]
        for command in step.commands[:MAX_COMMANDS]
    )
    return [" / ".join(match.groups()) for match in found if match][:12]


def _files(folder: Path, result: Result) -> list[Evidence]:
    named = [(model.RESULT, "the run as data")]
    named += [(result.files.console, "all that the guest printed")]
    named += [(name, "packets, for tcpdump or Wireshark") for name in result.files.pcaps[:MAX_CAPTURES]]
    files = []
    for name, what in dict(named).items():
        plain = _plain_name(name)
        if plain and (folder / plain).is_file():
            href = "./" + quote(plain, errors="replace")
            files.append(Evidence(clean.line(plain, 80), href, what, (folder / plain).stat().st_size))
    return files


def _plain_name(name: str) -> str:
    """Return the name, or an empty text if it could lead out of the folder."""
    unfit = "/" in name or "\\" in name or name in ("", ".", "..") or len(name) > 200 or not name.isprintable()
    return "" if unfit else name


def _prose(text: str) -> list[Piece]:
    """Split a text at backticks: every second piece is code."""
    return [Piece(piece, index % 2 == 1) for index, piece in enumerate(text.split("`")) if piece]


def _date(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return clean.line(text, 40)
    zone = when.strftime("%Z").replace("UTC+00:00", "UTC")
    return f"{when.day} {when.strftime('%B %Y, %H:%M')} {zone}".rstrip()


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
