# SPDX-License-Identifier: MIT
"""The student's commands: `r4l lab list`, `start`, `check`, `hint`, `submit`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from r4l.camp.labs import bundle
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.kernels import prepare_kernels
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.student import guess_student, require_student
from r4l.camp.labs.workspace import STATE, Workspace
from r4l.cli.called import as_called, called
from r4l.cli.json_option import json_option
from r4l.cli.lab.shown import NotYet, Unjudged, show
from r4l.cli.options import lab_kernel_option, require_writable
from r4l.cli.screen import screen, show_warnings
from r4l.errors import UsageError
from r4l.stages import Stages
from r4l.terminal import Console


@click.command("list")
@json_option("As JSON.")
def list_(as_json: bool) -> None:
    """List the labs, and your progress in each."""
    rows = [_progress(lab) for lab in Lab.all()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("", "lab", "", "reached", box=None, padding=(0, 2, 0, 0))
    table.add_column("workspace", no_wrap=True)
    for row in rows:
        table.add_row(str(row["number"]), row["lab"], row["title"], row["reached"], escape(_short(row["folder"])))
    screen().print(table)


@click.command()
@click.argument("lab")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def start(lab: str, folder: Path | None) -> None:
    """Make a workspace: the handout, the starter, the questions. No existing file is overwritten."""
    workspace = Workspace.start(Lab.named(lab), folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {workspace.lab.number} {workspace.lab.title}")
    console.print(f"read {escape(str(workspace.folder))}/handout.md (中文: handout.zh-CN.md)")
    console.print(f"then: {called()} lab check {escape(str(folder or workspace.lab.name))}")
    click.echo(str(workspace.folder))


@click.command()
@click.argument("where", required=False)
@lab_kernel_option
@json_option("As JSON.")
def check(where: str | None, kernel_name: str | None, arch: str | None, as_json: bool) -> None:
    """Build the workspace, run the lab's checks, compare your answers.

    Exit code 123: a checkpoint or question is missed; 120: nothing was missed, but this machine could not judge
    everything (no space, no memory, QEMU killed, too busy), and a later check may.
    """
    workspace = Workspace.find(where)
    done, verdict = _check(workspace, kernel_name, arch)
    show_warnings([verdict.warnings])
    if as_json:
        click.echo(json.dumps({**verdict.as_dict(), "evidence": str(done.evidence)}, indent=1))
        code = NotYet.exit_code if verdict.missed else Unjudged.exit_code
        raise SystemExit(0 if verdict.full else code)
    console = Console(highlight=False, soft_wrap=True)
    show(verdict, console)
    place = where or "."
    if verdict.missed:
        raise NotYet(verdict.score, _remedy(verdict, place))
    if verdict.unjudged:
        raise Unjudged(verdict.score, "free the resource that this machine lacks, and check again")
    console.print(f"[bold green]✓ {verdict.score}[/]")
    console.print(f"to hand it in: {called()} lab submit {escape(str(place))}")


def _remedy(verdict: Verdict, place: str) -> str:
    """Return the next step of a student who has not reached everything."""
    if verdict.build:
        return "correct the lines that the compiler shows above"
    left = next(outcome for outcome in verdict.outcomes if not outcome.passed and not outcome.fault)
    if left.kind == "checkpoint":
        return f"go on with {left.id}; `r4l lab hint {place} {left.id}` helps"
    if left.passed is None:
        return f"answer the question {left.id} in answers.toml"
    return f"change the answer to the question {left.id} in answers.toml; the text to read is named above"


@click.command()
@click.argument("where", required=False)
@click.option("--name", help="Your name; by default git's user.name, or the login's.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The file to write (NAME-LAB.zip here).")
@lab_kernel_option
@json_option("As JSON: the bundle, and the verdict in it.")
def submit(
    where: str | None, name: str | None, out: Path | None, kernel_name: str | None, arch: str | None, as_json: bool
) -> None:
    """Check once more and make the bundle to hand in: sources, answers, verdict, logs, captures."""
    workspace = Workspace.find(where)
    student = guess_student() if name is None else require_student(name)
    target = (out or Path(bundle.file_name(workspace.lab, student))).absolute()
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", "name another file: -o FILE")
    require_writable(target)
    done, verdict = _check(workspace, kernel_name, arch)
    bundle.write(target, workspace, student, done.kernels, verdict, done.evidence)
    if as_json:
        click.echo(json.dumps({"file": str(target), "student": student, **verdict.as_dict()}, indent=1))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{escape(student)}: {verdict.score}")
    click.echo(str(target))


@click.command()
@click.argument("where", required=False)
@click.argument("checkpoint", required=False)
@click.option("--all", "everything", is_flag=True, help="All hints at once; else each call gives one more.")
def hint(where: str | None, checkpoint: str | None, everything: bool) -> None:
    """Show a hint for a checkpoint; each further call shows one more.

    In a workspace the checkpoint's name is enough; without one, the hint is for the first checkpoint that the last
    check did not reach.
    """
    workspace, name = _wanted(where, checkpoint)
    points = {point.id: point for point in workspace.lab.checkpoints}
    if name not in points:
        asked = name in [question.id for question in workspace.lab.questions]
        cause = f"{name} is a question, and questions have no hints" if asked else f"there is no checkpoint {name}"
        raise UsageError(cause, f"use one of {', '.join(points)}")
    point = points[name]
    given = workspace.hints_given(name)
    upto = len(point.hints) if everything else min(given + 1, len(point.hints))
    workspace.note_hints(name, upto)
    click.echo(f"{point.title}")
    for number, text in enumerate(point.hints[:upto], 1):
        click.echo(as_called(f"{number}. {text}"))
    click.echo(as_called(str(point.read)))


def _wanted(where: str | None, checkpoint: str | None) -> tuple[Workspace, str]:
    """Return the workspace and the checkpoint that a hint is asked for.

    In a workspace, one word alone may be either.
    """
    if where is not None and checkpoint is None and (Path.cwd() / STATE).is_file():
        here = Workspace.find()
        # A checkpoint may have the name of a lab, and a misspelt word is meant for a checkpoint.
        if where in [point.id for point in here.lab.checkpoints] or not _is_place(where):
            return here, where
    workspace = Workspace.find(where)
    return workspace, checkpoint or _next(workspace)


def _is_place(where: str) -> bool:
    """Return True if a word names a lab or a folder rather than a checkpoint."""
    is_lab = where.isdecimal() or any(where in lab.called for lab in Lab.all())
    return is_lab or "/" in where or (Path(where) / STATE).is_file()


def _next(workspace: Workspace) -> str:
    """Return the student's present checkpoint: the first that the last check missed, or that the lab has.

    A check of a workspace that does not build tells nothing about the checkpoints, so it does not count.

    Raises:
        UsageError: all checkpoints are reached.
    """
    points = [point.id for point in workspace.lab.checkpoints]
    at = [attempt["next"] for attempt in workspace.attempts() if "next" in attempt]
    if at and not at[-1]:
        raise UsageError(
            "the last check reached all checkpoints, so there is none to give a hint for",
            f"name one to see its hints nevertheless: {', '.join(points)}; questions have none, see answers.toml",
        )
    return str(at[-1]) if at else points[0]


def _check(workspace: Workspace, kernel_name: str | None, arch: str | None) -> tuple[Check, Verdict]:
    """Check a workspace, and record the result as an attempt.

    Unreadable files are reported before kernels are set up, which may take many minutes.
    """
    workspace.require_known_answers()
    workspace.sources()
    with Stages() as stages:
        kernels = prepare_kernels(workspace.lab, stages, kernel_name, arch)
        with stages.stage(f"lab {workspace.lab.name}") as say:
            done = Check(workspace, kernels, say=say)
            verdict = done.run()
    if verdict.unjudged:
        # A check that could not judge everything does not count as an attempt.
        return done, verdict
    attempt = {"reached": verdict.reached, "of": len(verdict.outcomes), "kernel": verdict.kernel}
    missed = [outcome.id for outcome in verdict.outcomes if outcome.kind == "checkpoint" and not outcome.passed]
    workspace.note(attempt if verdict.build else {**attempt, "next": missed[0] if missed else ""})
    return done, verdict


def _short(folder: str) -> str:
    """Return a path as one types it."""
    home = str(Path.home())
    return f"~{folder.removeprefix(home)}" if folder.startswith(f"{home}/") else folder


def _progress(lab: Lab) -> dict[str, str]:
    row = {"number": str(lab.number), "lab": lab.name, "title": str(lab.title), "reached": "", "folder": ""}
    try:
        workspace = Workspace.find(lab.name)
    except UsageError:
        return row
    best = max(
        (f"{a['reached']}/{a['of']}" for a in workspace.attempts()),
        key=lambda text: int(text.split("/")[0]),
        default="started",
    )
    return {**row, "reached": best, "folder": str(workspace.folder)}
