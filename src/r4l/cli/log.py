# SPDX-License-Identifier: MIT
"""`r4l log`: the kernel's complaints in any log."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click
from rich.markup import escape
from rich.text import Text

from r4l.cli import show
from r4l.cli.faults import fault_of
from r4l.cli.json_option import json_option
from r4l.cli.options import complete_kernel
from r4l.cli.screen import screen
from r4l.errors import EnvironmentFault, R4LError, UsageError, VerdictError
from r4l.kernel import named
from r4l.klog import Sources, Splat, StackFrame
from r4l.klog.blame import plain_symbol
from r4l.klog.debugfile import module_file
from r4l.klog.fold import Folded, folded
from r4l.klog.packed import opened, unpacked
from r4l.klog.reader import complaints, growing, grows
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console
from r4l.toolchain import Toolchain
from r4l.vm import loading

KEPT = 1000
"""Number of complaints of a file that are shown; of more, the first."""
STDIN = "-"
WORDS = {"machine": "the kernel stopped", "task": "the task is dead", "": "the task went on"}


@click.command(
    epilog="Examples: dmesg | r4l log;  r4l log console.log --module e1000.ko;  journalctl -k -b -1 | r4l log --json"
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path())
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="KO",
    type=click.Path(path_type=Path),
    help="A module's .ko or debug file (also .xz, .zst, .gz): its frames then name file and line. May be repeated.",
)
@click.option(
    "--kernel",
    "kernel_name",
    metavar="NAME",
    envvar="R4L_KERNEL",
    shell_complete=complete_kernel,
    help="The kernel that the modules were built for, as in `r4l run`.",
)
@json_option("As JSON: a list with an entry for each file.")
def command(files: tuple[str, ...], modules: tuple[Path, ...], kernel_name: str | None, as_json: bool) -> None:
    """Read kernel logs and list the kernel's complaints: kind, place, culprit, and the task or machine that died.

    Any log is accepted: of dmesg, journalctl, syslog, a serial console, a CI job, a mail that quotes one; standard
    input without FILE, or for `-`. It may be compressed (.gz, .xz, .zst). Of one that goes on (`dmesg -w`), complaints
    are shown as they come.

    Exit code 0: the kernel did not complain. 123: it did. A log that is damaged, or cannot be read, is an error of its
    own; those beside it are read nevertheless.
    """
    if not files and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("there is no log to read", "name a file, or pipe one in: dmesg | r4l log")
    entries: list[dict[str, Any]] = []
    complained, code = False, 0
    with _sources(modules, kernel_name) as sources:
        for file in files or (STDIN,):
            reading = _Reading(file)
            if as_json:
                entries.append(_entry(reading, _kept(reading.complaints(), sources)[0]))
                found = bool(entries[-1]["complaints"])
            else:
                # Each at once: the next may be a pipe that goes on.
                found = _read_and_show(reading, sources)
            complained = complained or found
            if reading.trouble and len(files) < 2 and not found:
                raise reading.trouble
            if reading.trouble:
                show(reading.trouble)
                code = code or reading.trouble.exit_code
    if as_json:
        click.echo(json.dumps(entries, indent=1))
    if complained or code:
        raise SystemExit(VerdictError.exit_code if complained else code)


@contextmanager
def _sources(modules: Sequence[Path], kernel_name: str | None) -> Iterator[Sources | None]:
    """Yield the source lines for modules' frames; None if no module is named."""
    if not modules:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="r4l-log-") as folder:
        files = [module_file(file, Path(folder)) for file in modules]
        with Stages() as stages:
            kernel = set_up(stages, kernel_name) if kernel_name else named.ready()
        sources = loading.sources(kernel) if kernel else loading.module_sources(Toolchain.existing())
        for file in files:
            sources.add(file)
        try:
            yield sources
        finally:
            # Also when the user ends a log that goes on.
            for ko, why in sources.notes.items():
                Console(stderr=True, highlight=False, soft_wrap=True).print(
                    f"[yellow]note:[/] {escape(ko.name)} {escape(why)}"
                )


class _Reading:
    """A log that is read as far as it can be.

    Attributes:
        name: name of the log to show.
        trouble: the error that ended it; None while there is none.
        goes_on: True if it was opened, and may get more bytes while it is read.
        empty: True if it was read to its end, and has no text.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        # `./-` is a file.
        self.name = file if Path(file) == Path(STDIN) else str(Path(file))
        self.trouble: R4LError | None = None
        self.goes_on = False
        self.empty = False

    def complaints(self) -> Iterator[Splat]:
        """Yield the complaints in the order of their ends, until the end or an error."""
        with self._until_trouble(), self._stream() as (stream, log):
            yield from complaints(stream, log, on_empty=self._is_empty)

    def complaints_as_they_come(self) -> Iterator[Splat | None]:
        """Yield the complaints like `complaints`; and None, once, if more may come for a long time."""
        with self._until_trouble(), self._stream() as (stream, log):
            self.goes_on = grows(stream)
            read = growing if self.goes_on else complaints
            yield from read(stream, log, on_empty=self._is_empty)

    def _is_empty(self) -> None:
        self.empty = True

    @contextmanager
    def _until_trouble(self) -> Iterator[None]:
        try:
            yield
        except R4LError as error:
            self.trouble = error
        except OSError as error:
            unnamed = EnvironmentFault(f"cannot read {self.name}: {error.strerror}", "name a file that can be read")
            self.trouble = fault_of(error) or unnamed

    @contextmanager
    def _stream(self) -> Iterator[tuple[IO[bytes], Path | None]]:
        """Yield the bytes, and the file that complaints name as their source."""
        if self._file != STDIN:
            with opened(Path(self._file)) as stream:
                yield stream, Path(self._file)
        elif sys.stdin is None:
            raise UsageError("standard input is closed", "name a file, or pipe a log in: dmesg | r4l log")
        else:
            # Of a pipe that does not wait, nothing yet would be taken for its end.
            with suppress(OSError):
                os.set_blocking(sys.stdin.fileno(), True)
            with unpacked(sys.stdin.buffer, "standard input") as stream:
                yield stream, None


def _read_and_show(reading: _Reading, sources: Sources | None) -> bool:
    """Show the complaints of a log, or as they come of one that goes on; return True if there are any."""
    coming = reading.complaints_as_they_come()
    first = list(itertools.islice(coming, 1))
    if reading.goes_on:
        begun: list[Splat] = []
        for splat in itertools.chain(first, coming):
            if splat is None:
                rest = itertools.chain(begun, filter(None, coming))
                return bool(_show_as_they_come(screen(), reading, rest, sources))
            begun.append(splat)
        first, coming = list(begun), iter(())
    splats, count = _kept(filter(None, itertools.chain(first, coming)), sources)
    if count or not reading.trouble:
        _show(screen(), reading, splats, count)
    return bool(count)


def _kept(splats: Iterator[Splat], sources: Sources | None) -> tuple[list[Splat], int]:
    count = 0

    def counted() -> Iterator[Splat]:
        nonlocal count
        for splat in splats:
            count += 1
            yield splat

    kept = heapq.nsmallest(KEPT, counted(), key=lambda splat: splat.first)
    if sources:
        for splat in kept:
            splat.locate(sources)
    return kept, count


def _entry(reading: _Reading, splats: list[Splat]) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": reading.name, "complaints": [_complaint(splat) for splat in splats]}
    if reading.trouble:
        entry["error"] = reading.trouble.as_dict()
    elif reading.empty:
        entry["empty"] = True
    return entry


def _complaint(splat: Splat) -> dict[str, Any]:
    culprit = splat.culprit
    task, cpu = splat.task
    return {
        "kind": splat.splat_kind,
        "fatal": splat.fatal,
        "headline": splat.headline,
        # The name in the source: compilers split parts off a function (`.cold`).
        "culprit": {"symbol": plain_symbol(culprit.symbol), **_frame(culprit, "module", "file", "line")}
        if culprit
        else None,
        "trace": [
            _frame(frame, "symbol", "offset", "size", "module", "certain", "file", "line") for frame in splat.trace
        ],
        "lines": [splat.first, splat.last],
        "task": task or None,
        "cpu": cpu,
    }


def _frame(frame: StackFrame, *names: str) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in names}


def _show(console: Console, reading: _Reading, splats: list[Splat], count: int) -> None:
    if count or not is_quiet():
        verdict = _verdict(reading, count, sum(splat.fatal for splat in splats))
        console.print(_title(reading.name), verdict, sep="  ", markup=False)
    if not count:
        return
    for splat in splats:
        console.print()
        _show_one(console, splat)
    if count > len(splats):
        console.print(Text(f"\n… and {count - len(splats)} more", style="dim"), markup=False)
    console.print()


def _show_as_they_come(console: Console, reading: _Reading, splats: Iterator[Splat], sources: Sources | None) -> int:
    """Show the complaints of a log that goes on, and at its end their number; return that."""
    title = _title(reading.name)
    count = fatal = 0
    if not is_quiet():
        console.print(title, Text("the log goes on; complaints as they come", style="dim"), sep="  ", markup=False)
    try:
        for splat in splats:
            count += 1
            fatal += splat.fatal
            if count <= KEPT:
                if sources:
                    splat.locate(sources)
                console.print()
                _show_one(console, splat)
    finally:
        # Also when the user ends it.
        if count > KEPT:
            console.print(Text(f"\n… and {count - KEPT} more", style="dim"), markup=False)
        if count or not is_quiet():
            console.print()
            console.print(title, _verdict(reading, count, fatal), sep="  ", markup=False)
    return count


def _title(name: str) -> Text:
    return Text("standard input" if name == STDIN else name, style="bold")


def _verdict(reading: _Reading, count: int, fatal: int) -> Text:
    if reading.empty:
        return Text("! the log is empty", style="yellow")
    if not count:
        return Text("✓ the kernel does not complain", style="green")
    return Text(f"{count} complaint{'s' if count > 1 else ''}" + (f", {fatal} fatal" if fatal else ""), style="red")


def _show_one(console: Console, splat: Splat) -> None:
    task, cpu = splat.task
    colour = "red" if splat.fatal else "yellow"
    line = Text.assemble(
        (f"{'✗' if splat.fatal else '!'} {splat.splat_kind}", f"bold {colour}"),
        (f"  {WORDS[splat.killed]}", colour if splat.fatal else "dim"),
        (f"  {task}" if task else "", "cyan"),
        (f"  CPU {cpu}" if cpu is not None else "", "cyan"),
        (f"  lines {splat.first}–{splat.last}", "dim"),
    )
    console.print(line, markup=False)
    console.print(Text(f"  {splat.headline}", style="bold"), soft_wrap=True, markup=False)
    culprit = splat.culprit
    if culprit is None:
        console.print(Text("  no culprit: the log has no call trace of this complaint", style="dim"), markup=False)
        return
    for entry in folded(splat.trace, culprit):
        console.print(_frame_text(entry, culprit), soft_wrap=True, markup=False)


def _frame_text(entry: Folded, culprit: StackFrame) -> Text:
    if isinstance(entry, int):
        return Text(f"      … {entry} frame{'s' if entry > 1 else ''}", style="dim")
    blamed = entry == culprit
    return Text.assemble(
        ("    → " if blamed else "      ", "bold red"),
        (entry.symbol, "bold" if blamed else ""),
        (f"+{entry.offset:#x}" if entry.size else " (inlined)" if entry.file else "", "dim"),
        (f" [{entry.module}]" if entry.module else "", "magenta"),
        (f"  {entry.where}" if entry.where else "", "green"),
    )
