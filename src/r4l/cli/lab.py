# SPDX-License-Identifier: MIT
"""`r4l lab`: the camp's labs."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r4l import home
from r4l.cli.options import kernel_option
from r4l.errors import UsageError, VerdictError
from r4l.labs.check import Check, Outcome, Verdict, place
from r4l.labs.lab import Lab
from r4l.labs.workspace import Workspace
from r4l.setup import set_up
from r4l.stages import Stages

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}
DETAIL = 25
"""Lines of a long text that are shown; results.json has all."""


class NotYet(VerdictError):
    """A checkpoint is not reached, or a question not answered."""

    kind = "lab"


@click.group(epilog="Examples: r4l lab list;  r4l lab start hello;  r4l lab check hello;  r4l lab hint hello greets")
def command() -> None:
    """The camp's labs: start one, check it as often as you like, hand it in; grade what was handed in.

    WHERE is a lab's name (its workspace is then ~/r4l-labs/NAME, or in R4L_LABS), or a workspace's folder; by default
    the one you are in. Handouts and checks speak Chinese where the locale does.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """The labs, and how far you have come in each."""
    rows = [_progress(lab) for lab in Lab.all()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("", "lab", "", "reached", "workspace", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(str(row["number"]), row["lab"], row["title"], row["reached"], row["folder"])
    Console(highlight=False).print(table)


@command.command()
@click.argument("lab")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def start(lab: str, folder: Path | None) -> None:
    """Make a workspace: the handout, the starter, the questions. Nothing that is there is overwritten."""
    workspace = Workspace.start(Lab.named(lab), folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {workspace.lab.number} {workspace.lab.title}")
    console.print(
        f"read {workspace.folder}/handout.md (中文: handout.zh-CN.md), then: r4l lab check {_name(workspace)}"
    )
    click.echo(str(workspace.folder))


@command.command()
@click.argument("where", required=False)
@kernel_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(where: str | None, kernel_name: str | None, arch: str, as_json: bool) -> None:
    """Build what is in the workspace, run the lab's checks, look at your answers. Exit code 123: not all is reached."""
    workspace = Workspace.find(where)
    with Stages() as stages:
        kernel = set_up(stages, kernel_name or "stock", arch=arch)
        evidence = place(workspace).with_suffix(".evidence")
        if evidence.exists():
            home.remove(evidence)
        evidence.mkdir(parents=True)
        with stages.stage(f"lab {workspace.lab.name}") as say:
            verdict = Check(workspace, kernel, evidence, say=say).run()
    workspace.note({"reached": verdict.reached, "of": len(verdict.outcomes), "kernel": verdict.kernel})
    if as_json:
        click.echo(json.dumps({**verdict.as_dict(), "evidence": str(evidence)}, indent=1))
    else:
        show(verdict, Console(highlight=False, soft_wrap=True))
    if not verdict.full:
        left = next(outcome for outcome in verdict.outcomes if not outcome.passed)
        raise NotYet(
            f"{verdict.reached} of {len(verdict.outcomes)} reached",
            f"next: {left.id}; `r4l lab hint {where or '.'} {left.id}` helps"
            if left.kind == "checkpoint"
            else "answer the questions in answers.toml",
        )


@command.command()
@click.argument("where")
@click.argument("checkpoint", required=False)
@click.option("--all", "everything", is_flag=True, help="All hints at once; else each call gives one more.")
def hint(where: str, checkpoint: str | None, everything: bool) -> None:
    """A hint for a checkpoint; each time you ask, it says more."""
    workspace = Workspace.find(where)
    points = {point.id: point for point in workspace.lab.checkpoints}
    if checkpoint not in points:
        said = f"there is no checkpoint {checkpoint}" if checkpoint else "a hint for which checkpoint?"
        raise UsageError(said, f"use one of {', '.join(points)}")
    point = points[checkpoint]
    given = workspace.hints_given(checkpoint)
    upto = len(point.hints) if everything else min(given + 1, len(point.hints))
    workspace.note_hints(checkpoint, upto)
    click.echo(f"{point.title}")
    for number, text in enumerate(point.hints[:upto], 1):
        click.echo(textwrap.indent(str(text), "   ").replace("  ", f"{number}.", 1))
    click.echo(f"{point.read}")


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict: what was expected, what was seen, where to read."""
    if verdict.build:
        console.print(f"[red]✗[/] it does not build\n{escape(verdict.build)}")
    for outcome in verdict.outcomes:
        console.print(f"{MARKS[outcome.passed]} [bold]{outcome.id}[/]  {escape(outcome.title)}")
        for line in _lines(outcome):
            console.print(f"    {line}")


def _lines(outcome: Outcome) -> list[str]:
    if outcome.passed:
        return [f"[dim]{escape(outcome.read)}[/]"] if outcome.kind == "question" else []
    lines = [
        f"[dim]{word}[/] {escape(text)}"
        for word, text in (("expected", outcome.expected), ("seen    ", outcome.seen), ("read    ", outcome.read))
        if text
    ]
    long = outcome.detail.splitlines()
    return lines + [f"[dim]{escape(line)}[/]" for line in long[:DETAIL]] + (["[dim]…[/]"] if len(long) > DETAIL else [])


def _progress(lab: Lab) -> dict[str, str]:
    row = {"number": str(lab.number), "lab": lab.name, "title": str(lab.title), "reached": "", "folder": ""}
    try:
        workspace = Workspace.find(lab.name)
    except UsageError:
        return row
    attempts = workspace.state()["attempts"]
    best = max(
        (f"{a['reached']}/{a['of']}" for a in attempts), key=lambda text: int(text.split("/")[0]), default="started"
    )
    return {**row, "reached": best, "folder": str(workspace.folder)}


def _name(workspace: Workspace) -> str:
    return workspace.lab.name
