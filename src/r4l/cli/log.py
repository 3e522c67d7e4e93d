# SPDX-License-Identifier: MIT
"""`r4l log`: the kernel's complaints in any log."""

from __future__ import annotations

import heapq
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from rich.text import Text

from r4l.cli.json_option import json_option
from r4l.cli.options import complete_kernel
from r4l.cli.screen import screen
from r4l.errors import UsageError, VerdictError
from r4l.kernel import named
from r4l.klog import Sources, Splat, StackFrame
from r4l.klog.blame import plain_symbol
from r4l.klog.debugfile import module_file
from r4l.klog.fold import Folded, folded
from r4l.klog.reader import complaints, growing, grows, opened, unpacked
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
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
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
def command(files: tuple[Path, ...], modules: tuple[Path, ...], kernel_name: str | None, as_json: bool) -> None:
    """Read kernel logs and list the kernel's complaints: kind, place, culprit, and the task or machine that died.

    Any log is accepted: of dmesg, journalctl, syslog, a serial console, a CI job, a mail that quotes one; standard
    input without FILE, or for `-`. It may be compressed (.gz, .xz, .zst). Of one that goes on (`dmesg -w`), complaints
    are shown as they come.

    Exit code 0: the kernel did not complain. 123: it did.
    """
    if not files and sys.stdin.isatty():
        raise UsageError("there is no log to read", "name a file, or pipe one in: dmesg | r4l log")
    with _sources(modules, kernel_name) as sources:
        if as_json:
            found = {str(file): _read(file, sources) for file in files or (Path(STDIN),)}
            click.echo(json.dumps([_entry(name, splats) for name, (splats, _) in found.items()], indent=1))
            counts = [count for _, count in found.values()]
        else:
            # Each at once: the next may be a pipe that goes on.
            counts = [_read_and_show(file, sources) for file in files or (Path(STDIN),)]
    if any(counts):
        raise SystemExit(VerdictError.exit_code)


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
        yield sources


@contextmanager
def _stream(file: Path) -> Iterator[tuple[IO[bytes], Path | None]]:
    """Yield the bytes of a log, and the file that its complaints name as their source."""
    if str(file) == STDIN:
        with unpacked(sys.stdin.buffer, "standard input") as stream:
            yield stream, None
    else:
        with opened(file) as stream:
            yield stream, file


def _read(file: Path, sources: Sources | None) -> tuple[list[Splat], int]:
    """Return the complaints of a file in the order of their lines, and their total number."""
    with _stream(file) as (stream, log):
        return _kept(complaints(stream, log), sources)


def _read_and_show(file: Path, sources: Sources | None) -> int:
    """Show the complaints of a file, or as they come of one that goes on; return their number."""
    with _stream(file) as (stream, log):
        if not grows(stream):
            splats, count = _kept(complaints(stream, log), sources)
            _show(screen(), str(file), splats, count)
            return count
        coming = growing(stream, log)
        begun: list[Splat] = []
        for splat in coming:
            if splat is None:
                break
            begun.append(splat)
        else:
            splats, count = _kept(iter(begun), sources)
            _show(screen(), str(file), splats, count)
            return count
        return _show_as_they_come(screen(), str(file), itertools.chain(begun, filter(None, coming)), sources)


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


def _entry(name: str, splats: list[Splat]) -> dict[str, Any]:
    return {"file": name, "complaints": [_complaint(splat) for splat in splats]}


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


def _show(console: Console, name: str, splats: list[Splat], count: int) -> None:
    if count or not is_quiet():
        verdict = _verdict(count, sum(splat.fatal for splat in splats))
        console.print(_title(name), verdict, sep="  ", markup=False)
    if not count:
        return
    for splat in splats:
        console.print()
        _show_one(console, splat)
    if count > len(splats):
        console.print(Text(f"\n… and {count - len(splats)} more", style="dim"), markup=False)
    console.print()


def _show_as_they_come(console: Console, name: str, splats: Iterator[Splat], sources: Sources | None) -> int:
    """Show the complaints of a log that goes on, and at its end their number; return that."""
    title = _title(name)
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
            console.print(title, _verdict(count, fatal), sep="  ", markup=False)
    return count


def _title(name: str) -> Text:
    return Text("standard input" if name == STDIN else name, style="bold")


def _verdict(count: int, fatal: int) -> Text:
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
