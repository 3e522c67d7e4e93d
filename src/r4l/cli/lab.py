# SPDX-License-Identifier: MIT
"""`r4l lab`: the camp's labs."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r4l.cli.options import kernel_option
from r4l.errors import UsageError, VerdictError
from r4l.labs import bundle, matrix, pages
from r4l.labs import grade as grading
from r4l.labs.check import Check, Outcome, Verdict
from r4l.labs.lab import Lab
from r4l.labs.workspace import Workspace, slug
from r4l.scaffold import guess_author
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
    console.print(f"read {workspace.folder}/handout.md (中文: handout.zh-CN.md)")
    console.print(f"then: r4l lab check {folder or workspace.lab.name}")
    click.echo(str(workspace.folder))


@command.command()
@click.argument("where", required=False)
@kernel_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(where: str | None, kernel_name: str | None, arch: str, as_json: bool) -> None:
    """Build what is in the workspace, run the lab's checks, look at your answers. Exit code 123: not all is reached."""
    workspace = Workspace.find(where)
    done, verdict = _check(workspace, kernel_name, arch)
    if as_json:
        click.echo(json.dumps({**verdict.as_dict(), "evidence": str(done.evidence)}, indent=1))
        raise SystemExit(0 if verdict.full else NotYet.exit_code)
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
@click.argument("where", required=False)
@click.option("--name", help="Your name; what git knows, or the login's, by default.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The file to write (NAME-LAB.zip here).")
@kernel_option
def submit(where: str | None, name: str | None, out: Path | None, kernel_name: str | None, arch: str) -> None:
    """Check once more and make the bundle to hand in: sources, answers, verdict, logs, captures."""
    workspace = Workspace.find(where)
    student = (name or guess_author()).strip()
    target = (out or Path(bundle.file_name(workspace.lab, student))).absolute()
    if target.exists():
        raise UsageError(f"{target} is there already", "name another file: -o FILE")
    done, verdict = _check(workspace, kernel_name, arch)
    bundle.write(target, workspace, student, done.kernel, verdict, done.evidence)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{student}: {verdict.reached} of {len(verdict.outcomes)} reached")
    click.echo(str(target))


@command.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--checks", "hidden", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--into", type=click.Path(path_type=Path), default=Path("class"), show_default=True)
@kernel_option
def grade(bundles: tuple[Path, ...], hidden: tuple[Path, ...], into: Path, kernel_name: str | None, arch: str) -> None:
    """Run bundles again in clean machines, and write the class's pages.

    Nothing is taken from the verdict in a bundle. --checks FOLDER adds hidden checks (a folder for each lab's name, or
    test files for all). --into FOLDER keeps grades and pages; grades that are there stay.
    """
    bad: list[str] = []
    console = Console(highlight=False, soft_wrap=True)
    with Stages() as stages:
        kernel = set_up(stages, kernel_name or "stock", arch=arch)
        for path in bundles:
            try:
                read = bundle.Bundle.read(path)
            except bundle.BadBundle as error:
                bad.append(error.cause)
                continue
            checks = [folder / read.lab.name if (folder / read.lab.name).is_dir() else folder for folder in hidden]
            with stages.stage(f"{read.student}: {read.lab.name}") as say:
                result = grading.grade(read, kernel, [folder.absolute() for folder in checks], say)
            grading.keep(result, into, f"{slug(read.student)}-{read.lab.name}")
            claimed = "" if result.believed else f"  [red]the bundle claims {result.claimed}[/]"
            console.print(f"{escape(result.student)}  {result.lab}  {result.mark}{claimed}")
    if len(bad) < len(bundles):
        click.echo(str(pages.write(into, grading.kept(into))))
    if bad:
        raise UsageError(f"not graded: {'; '.join(bad)}", "have them handed in again, as `r4l lab submit` makes them")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("class"))
def report(folder: Path) -> None:
    """Write a class's pages anew: a table (index.html, class.csv) and a page for each student."""
    click.echo(str(pages.write(folder, grading.kept(folder))))


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
        click.echo(f"{number}. {text}")
    click.echo(f"{point.read}")


@command.command("matrix")
@click.argument("names", nargs=-1)
@click.option("--only", default="", help="Only variants whose name has this in it.")
@click.option("--markdown", is_flag=True, help="As a table for the docs.")
@kernel_option
def matrix_(names: tuple[str, ...], only: str, markdown: bool, kernel_name: str | None, arch: str) -> None:
    """Grade the graders: each wrong answer of labs/mutants must fail by its name, each right one must pass."""
    labs = [Lab.named(name) for name in names] or Lab.all()
    console, judged = Console(stderr=markdown, highlight=False, soft_wrap=True), []
    with Stages() as stages:
        kernel = set_up(stages, kernel_name or "stock", arch=arch)
    for entry in matrix.run(labs, kernel, only):
        judged.append(entry)
        said = " ".join(entry.said.split())[:160]
        console.print(f"{MARKS[entry.fine]} {entry.variant.lab} {entry.variant.kind} [bold]{entry.variant.name}[/]")
        console.print(f"    [dim]{escape(said)}[/]")
    if markdown:
        click.echo(matrix.as_markdown(judged))
    wrong = [entry.variant.name for entry in judged if not entry.fine]
    if wrong:
        raise NotYet(f"{len(wrong)} of {len(judged)} are judged wrongly: {', '.join(wrong)}", "mend the lab's checks")


def _check(workspace: Workspace, kernel_name: str | None, arch: str) -> tuple[Check, Verdict]:
    """Check it, and keep how that ended."""
    with Stages() as stages:
        kernel = set_up(stages, kernel_name or "stock", arch=arch)
        with stages.stage(f"lab {workspace.lab.name}") as say:
            done = Check(workspace, kernel, say=say)
            verdict = done.run()
    workspace.note({"reached": verdict.reached, "of": len(verdict.outcomes), "kernel": verdict.kernel})
    return done, verdict


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
