# SPDX-License-Identifier: MIT
"""`r4l demo`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.markup import escape

from r4l import home, report
from r4l.camp.demo import Demo, rows_of
from r4l.cli.json_option import fail, json_option
from r4l.cli.screen import screen
from r4l.debian import choice
from r4l.errors import EnvironmentFault, VerdictError
from r4l.report import model
from r4l.settings import Settings
from r4l.stages import Stages


@click.command(epilog="Examples: r4l demo;  r4l demo --out /tmp/proof;  r4l demo --json")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results; one under R4L_HOME by default.",
)
@json_option("Print result.json instead of the table.")
def command(out: Path | None, as_json: bool) -> None:
    """Run the demo: from an empty machine to a Rust driver that pings, with a report.

    Makes the toolchain and the kernel ready (the first time), builds the Rust driver for the e1000, boots Debian's
    unmodified kernel and goes through the camp's scenario. Exit code 123: a step failed.
    """
    choice.prefer(Settings.near(Path()))
    folder = (out or home.room("demos") / time.strftime("%Y%m%d-%H%M%S")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"cannot make {folder}: {error.strerror}", "give another folder with --out") from error
    progress = screen(stderr=True)

    def tell(step: model.Step) -> None:
        mark = "[green]✓[/]" if step.ok else "[red]✗[/]"
        line = f"{mark} [bold]{step.row:<6}[/] {step.title:<36} [dim]{step.seconds or 0:5.1f} s  {escape(step.seen)}[/]"
        progress.print(line, no_wrap=True, overflow="ellipsis", crop=True)

    with Stages(progress) as stages:
        demo = Demo(folder, stages, tell)
        try:
            result = demo.run()
        finally:
            page = report.write(folder)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=1))
    else:
        _table(result)
    click.echo(f"report:  {page}", err=as_json)
    click.echo(f"console: {folder / 'console.log'}", err=as_json)
    for name in result.files.pcaps:
        click.echo(f"packets: {folder / name}", err=as_json)
    failed = [step for step in result.steps if not step.ok]
    if failed:
        missed = VerdictError(
            f"{len(failed)} of {len(result.steps)} steps failed, first {failed[0].row}: {failed[0].seen}",
            "see the report: it has each step's commands and the kernel's log",
            log=folder / "console.log",
        )
        fail(missed, as_json=as_json)


def _table(result: model.Result) -> None:
    console = screen()
    console.print()
    width = max((len(step.title) for step in result.steps), default=0)
    console.print(f"[bold]{'row':<6}  verdict  {'s':>5}  {'what':<{width}}  seen[/]")
    for step in result.steps:
        verdict = "[green]passed[/]" if step.ok else "[bold red]FAILED[/]"
        what = f" {step.seconds or 0:5.1f}  {step.title:<{width}}  [dim]{escape(step.seen)}[/]"
        console.print(f"[bold]{step.row:<6}[/]  {verdict}  {what}", no_wrap=True, overflow="ellipsis", crop=True)
    good = result.verdict == "passed"
    console.print()
    console.print(
        f"[bold {'green' if good else 'red'}]{result.verdict}[/]: {len(rows_of(result.steps))} rows in "
        f"{result.seconds or 0:.1f} s, kernel {escape(result.kernel.release)}, {escape(result.accelerator.name)}"
    )
