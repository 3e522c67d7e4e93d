# SPDX-License-Identifier: MIT
"""`r4l lab`: the camp's labs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from r4l.camp.labs import bundle, matrix, pages
from r4l.camp.labs import grade as grading
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.kernels import ready
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.student import guess_student, require_student, slug
from r4l.camp.labs.workspace import STATE, Workspace, plainly
from r4l.cli.called import as_called, called
from r4l.cli.json_option import json_option
from r4l.cli.options import lab_kernel_option
from r4l.cli.screen import screen, show_warnings
from r4l.errors import EnvironmentFault, R4LError, UsageError, VerdictError
from r4l.kernel import Kernel
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import ladder

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}
UNJUDGED = "[blue]?[/]"
DETAIL = 25
"""Lines of a long text that are shown; results.json has all."""


class NotYet(VerdictError):
    """A checkpoint is not reached, or a question not answered."""

    kind = "lab"


class Unjudged(EnvironmentFault):
    """This machine could not judge a checkpoint; nothing that it judged was missed."""

    kind = "unjudged"


TRY_AGAIN = "free what this machine lacks, and do it again: what was judged stays"


@click.group(epilog="Examples: r4l lab list;  r4l lab start hello;  r4l lab check hello;  r4l lab hint hello greets")
def command() -> None:
    """The camp's labs: start one, check it as often as you like, hand it in; grade what was handed in.

    WHERE is a lab's name (its workspace is then ~/r4l-labs/NAME, or in R4L_LABS), or a workspace's folder; by default
    the one you are in. Handouts and checks speak Chinese where the locale does.
    """


@command.command("list")
@json_option("As JSON.")
def list_(as_json: bool) -> None:
    """The labs, and how far you have come in each."""
    rows = [_progress(lab) for lab in Lab.all()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("", "lab", "", "reached", box=None, padding=(0, 2, 0, 0))
    table.add_column("workspace", no_wrap=True)
    for row in rows:
        table.add_row(str(row["number"]), row["lab"], row["title"], row["reached"], escape(_short(row["folder"])))
    screen().print(table)


@command.command()
@click.argument("lab")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def start(lab: str, folder: Path | None) -> None:
    """Make a workspace: the handout, the starter, the questions. Nothing that is there is overwritten."""
    workspace = Workspace.start(Lab.named(lab), folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {workspace.lab.number} {workspace.lab.title}")
    console.print(f"read {escape(str(workspace.folder))}/handout.md (中文: handout.zh-CN.md)")
    console.print(f"then: {called()} lab check {escape(str(folder or workspace.lab.name))}")
    click.echo(str(workspace.folder))


@command.command()
@click.argument("where", required=False)
@lab_kernel_option
@json_option("As JSON.")
def check(where: str | None, kernel_name: str | None, arch: str | None, as_json: bool) -> None:
    """Build what is in the workspace, run the lab's checks, look at your answers.

    Exit code 123: not all is reached; 120: nothing was missed, but this machine could not judge all (no space, no
    memory, QEMU killed, too busy), and a check later may.
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
        raise Unjudged(verdict.score, "free what this machine lacks, and check again")
    console.print(f"[bold green]✓ {verdict.score}[/]")
    console.print(f"to hand it in: {called()} lab submit {escape(str(place))}")


def _remedy(verdict: Verdict, place: str) -> str:
    """What to do next, where not all is reached."""
    if verdict.build:
        return "mend what the compiler shows above"
    left = next(outcome for outcome in verdict.outcomes if not outcome.passed and not outcome.fault)
    if left.kind == "checkpoint":
        return f"go on with {left.id}; `r4l lab hint {place} {left.id}` helps"
    if left.passed is None:
        return f"answer the question {left.id} in answers.toml"
    return f"another answer to the question {left.id} in answers.toml; see where to read, above"


@command.command()
@click.argument("where", required=False)
@click.option("--name", help="Your name; what git knows, or the login's, by default.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The file to write (NAME-LAB.zip here).")
@lab_kernel_option
def submit(where: str | None, name: str | None, out: Path | None, kernel_name: str | None, arch: str | None) -> None:
    """Check once more and make the bundle to hand in: sources, answers, verdict, logs, captures."""
    workspace = Workspace.find(where)
    student = guess_student() if name is None else require_student(name)
    target = (out or Path(bundle.file_name(workspace.lab, student))).absolute()
    if target.exists():
        raise UsageError(f"{target} is there already", "name another file: -o FILE")
    done, verdict = _check(workspace, kernel_name, arch)
    bundle.write(target, workspace, student, done.kernels, verdict, done.evidence)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{escape(student)}: {verdict.score}")
    click.echo(str(target))


@command.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--checks", "hidden", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--into", type=click.Path(path_type=Path), default=Path("class"), show_default=True)
@click.option("--again", is_flag=True, help="Check everything, also what the class's folder has a grade of.")
@click.option(
    "--trusted", is_flag=True, help="Also where nothing isolates builds: what is handed in can do all you can."
)
@lab_kernel_option
def grade(
    bundles: tuple[Path, ...],
    hidden: tuple[Path, ...],
    into: Path,
    again: bool,
    trusted: bool,
    kernel_name: str | None,
    arch: str | None,
) -> None:
    """Run bundles again in clean machines, and write the class's pages.

    Nothing is taken from the verdict in a bundle. --checks FOLDER adds hidden checks (a folder of a lab's name for each
    that has some, or test files for all). --into FOLDER keeps grades and pages; grades that are there stay, and what
    was judged by the same checks is not checked again. What this machine could not judge (no space, no memory, QEMU
    killed, too busy) counts for nobody and is tried anew by the next `r4l lab grade`; exit code 120 where that is so.
    """
    if not trusted:
        ladder.require_isolation("what students hand in")
    faults: list[str] = []
    unsure: list[str] = []
    seen: set[tuple[str, str]] = set()
    try:
        with Stages() as stages:
            for path in bundles:
                faults.append(_fault(path, hidden, into, stages, kernel_name, arch, seen, unsure, again=again))
    finally:
        # Also where the rest was interrupted: what is graded took its minutes.
        if "" in faults:
            click.echo(str(pages.write(into, grading.kept(into))))
    if any(faults):
        bad = "; ".join(fault for fault in faults if fault)
        raise UsageError(f"not graded: {bad}", "have them handed in again, as `r4l lab submit` makes them")
    if unsure:
        raise Unjudged(f"not all could be judged: {'; '.join(unsure)}", TRY_AGAIN)


def _fault(
    path: Path,
    hidden: Sequence[Path],
    into: Path,
    stages: Stages,
    kernel_name: str | None,
    arch: str | None,
    seen: set[tuple[str, str]],
    unsure: list[str],
    *,
    again: bool,
) -> str:
    """Grade what may be a bundle; why it could not be graded, with its name, else nothing.

    Args:
        unsure: gets its name where this machine could not judge all of it.
    """
    try:
        read = bundle.Bundle.read(path)
    except bundle.BadBundle as error:
        return error.cause
    if (read.student, read.lab.name) in seen:
        click.echo(
            f"note: {plainly(path.name)} is a second one of {read.student} for {read.lab.name}, and the pages show "
            "both as one student's (students of one name hand in with --name and what tells them apart)",
            err=True,
        )
    seen.add((read.student, read.lab.name))
    # What is missing on this machine is not the bundle's fault, and would stop the next one too.
    kernels = ready(read.lab, stages, kernel_name, arch)
    try:
        if left := _grade(read, kernels, hidden, into, stages, again=again):
            unsure.append(f"{plainly(path.name)}: {', '.join(left)}")
    except (R4LError, OSError) as error:
        return f"{plainly(path.name)}: {error.cause if isinstance(error, R4LError) else error}"
    return ""


def _grade(
    read: bundle.Bundle,
    kernels: Sequence[Kernel],
    hidden: Sequence[Path],
    into: Path,
    stages: Stages,
    *,
    again: bool,
) -> list[str]:
    """Grade a bundle, keep that, and say it; returns what this machine could not judge."""
    checks = [checks.absolute() for folder in hidden for checks in grading.hidden_checks(folder, read.lab)]
    before = None if again else grading.kept_for(into, grading.key(read, kernels, checks))
    if before and not before.unjudged:
        result = before
    else:
        with stages.stage(f"{escape(read.student)}: {read.lab.name}") as say:
            result = grading.grade(read, kernels, checks, say, before)
        grading.keep(result, into, f"{slug(read.student)}-{read.lab.name}")
    claimed = "" if result.believed else f"  [red]the bundle claims {result.claimed}[/]"
    if result.unjudged:
        claimed = f"  [blue]{len(result.unjudged)} could not be judged[/]{claimed}"
    if result is before:
        claimed += "  [dim]graded before[/]"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(result.student)}  {escape(result.lab)}  {result.mark}{claimed}")
    return result.unjudged


@command.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("class"))
def report(folder: Path) -> None:
    """Write a class's pages anew: a table (index.html, class.csv) and a page for each student."""
    click.echo(str(pages.write(folder, grading.kept(folder))))


@command.command()
@click.argument("where", required=False)
@click.argument("checkpoint", required=False)
@click.option("--all", "everything", is_flag=True, help="All hints at once; else each call gives one more.")
def hint(where: str | None, checkpoint: str | None, everything: bool) -> None:
    """A hint for a checkpoint; each time you ask, it says more.

    In a workspace the checkpoint's name is enough, and without one it is the first that the last check did not reach.
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
    """The workspace and the checkpoint that a hint is asked for. In a workspace, one word alone may be either."""
    if where is not None and checkpoint is None and (Path.cwd() / STATE).is_file():
        here = Workspace.find()
        # A checkpoint may be called as a lab is, and a slip of the pen is meant for a checkpoint.
        if where in [point.id for point in here.lab.checkpoints] or not _is_place(where):
            return here, where
    workspace = Workspace.find(where)
    return workspace, checkpoint or _next(workspace)


def _is_place(where: str) -> bool:
    """Whether a word names a lab, or a folder, rather than a checkpoint."""
    is_lab = where.isdecimal() or any(where in lab.called for lab in Lab.all())
    return is_lab or "/" in where or (Path(where) / STATE).is_file()


def _next(workspace: Workspace) -> str:
    """The checkpoint that a student is at: the first that the last check missed, or that the lab has.

    A check of what does not build says nothing of the checkpoints, so it does not count.

    Raises:
        UsageError: all are reached.
    """
    points = [point.id for point in workspace.lab.checkpoints]
    at = [attempt["next"] for attempt in workspace.state()["attempts"] if "next" in attempt]
    if at and not at[-1]:
        raise UsageError(
            "the last check reached all checkpoints, so there is none to give a hint for",
            f"name one to see its hints nevertheless: {', '.join(points)}; questions have none, see answers.toml",
        )
    return str(at[-1]) if at else points[0]


@command.command("matrix")
@click.argument("names", nargs=-1)
@click.option("--only", default="", help="Only variants whose name has this in it.")
@click.option("--markdown", is_flag=True, help="As a table for the docs.")
@lab_kernel_option
def matrix_(names: tuple[str, ...], only: str, markdown: bool, kernel_name: str | None, arch: str | None) -> None:
    """Grade the graders: each wrong answer of labs/mutants must fail by its name, each right one must pass."""
    labs = [Lab.named(name) for name in names] or Lab.all()
    console, judged = Console(stderr=markdown, highlight=False, soft_wrap=True), []
    with Stages() as stages:
        kernels = {lab.name: ready(lab, stages, kernel_name, arch) for lab in labs}
    for entry in matrix.run(labs, lambda lab: kernels[lab.name], only):
        judged.append(entry)
        said = " ".join(entry.said.split())[:160]
        console.print(
            f"{MARKS[entry.fine]} {entry.variant.lab} {entry.variant.kind} [bold]{escape(entry.variant.name)}[/]"
        )
        console.print(f"    [dim]{escape(said)}[/]")
    if markdown:
        click.echo(matrix.as_markdown(judged))
    wrong = [entry.variant.name for entry in judged if not entry.fine]
    if wrong:
        raise NotYet(f"{len(wrong)} of {len(judged)} are judged wrongly: {', '.join(wrong)}", "mend the lab's checks")


def _check(workspace: Workspace, kernel_name: str | None, arch: str | None) -> tuple[Check, Verdict]:
    """Check it, and keep how that ended.

    What cannot be read is said before kernels are set up, which may take many minutes.
    """
    workspace.answers()
    workspace.sources()
    with Stages() as stages:
        kernels = ready(workspace.lab, stages, kernel_name, arch)
        with stages.stage(f"lab {workspace.lab.name}") as say:
            done = Check(workspace, kernels, say=say)
            verdict = done.run()
    if verdict.unjudged:
        # An attempt that says less than it could is none.
        return done, verdict
    attempt = {"reached": verdict.reached, "of": len(verdict.outcomes), "kernel": verdict.kernel}
    missed = [outcome.id for outcome in verdict.outcomes if outcome.kind == "checkpoint" and not outcome.passed]
    workspace.note(attempt if verdict.build else {**attempt, "next": missed[0] if missed else ""})
    return done, verdict


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict: what was expected, what was seen, where to read."""
    if verdict.build:
        console.print(f"[red]✗[/] it does not build, so nothing of it was checked\n{escape(verdict.build)}")
    told: dict[tuple[str, str, str], str] = {}
    for outcome in verdict.outcomes:
        if verdict.build and outcome.kind != "question":
            continue
        mark = UNJUDGED if outcome.fault else MARKS[outcome.passed]
        console.print(f"{mark} [bold]{escape(outcome.id)}[/]  {escape(outcome.title)}")
        lines = _lines(outcome)
        if outcome.kind != "question" and outcome.passed is False:
            first = told.setdefault((outcome.expected, outcome.seen, outcome.detail), outcome.id)
            lines = lines if first == outcome.id else [f"[dim]the same as at {first}[/]"]
        for line in lines:
            console.print(f"    {line}")


def _lines(outcome: Outcome) -> list[str]:
    if outcome.passed:
        return [f"[dim]{escape(as_called(outcome.read))}[/]"] if outcome.kind == "question" else []
    lines = [
        f"[dim]{word}[/] {escape(text)}"
        for word, text in (
            ("expected", outcome.expected),
            ("seen    ", _seen(outcome)),
            ("could not be judged", outcome.fault),
            ("read    ", "" if outcome.fault else as_called(outcome.read)),
        )
        if text
    ]
    long = outcome.detail.splitlines()
    return lines + [f"[dim]{escape(line)}[/]" for line in long[:DETAIL]] + (["[dim]…[/]"] if len(long) > DETAIL else [])


def _seen(outcome: Outcome) -> str:
    """What was seen; where something was expected and there was nothing at all, so it is said."""
    return outcome.seen or ("nothing" if outcome.expected else "")


def _short(folder: str) -> str:
    """A path as one types it."""
    home = str(Path.home())
    return f"~{folder.removeprefix(home)}" if folder.startswith(f"{home}/") else folder


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
