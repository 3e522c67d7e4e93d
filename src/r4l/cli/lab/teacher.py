# SPDX-License-Identifier: MIT
"""The teacher's commands: `r4l lab grade`, `report`, `matrix`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape

from r4l.camp.labs import bundle, matrix, pages
from r4l.camp.labs import grade as grading
from r4l.camp.labs.kernels import prepare
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.student import slug
from r4l.camp.labs.workspace import plainly
from r4l.cli.json_option import json_option
from r4l.cli.lab.shown import MARKS, NotYet, Unjudged
from r4l.cli.options import lab_kernel_option
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import ladder

TRY_AGAIN = "free the resource that this machine lacks, and run the command again: results so far are kept"


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--checks", "hidden", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--into", type=click.Path(path_type=Path), default=Path("class"), show_default=True)
@click.option("--again", is_flag=True, help="Check everything, also bundles that are graded in the class's folder.")
@click.option(
    "--trusted", is_flag=True, help="Also without isolation of builds: handed-in code can then do all that you can."
)
@lab_kernel_option
@json_option("As JSON: the grades, what could not be graded, the pages.")
def grade(
    bundles: tuple[Path, ...],
    hidden: tuple[Path, ...],
    into: Path,
    again: bool,
    trusted: bool,
    kernel_name: str | None,
    arch: str | None,
    as_json: bool,
) -> None:
    """Run bundles again in clean machines, and write the class's pages.

    The verdict in a bundle is not used. --checks FOLDER adds hidden checks (a folder with a lab's name for each lab
    that has some, or test files for all labs). --into FOLDER keeps grades and pages; existing grades stay, and results
    of the same checks are not judged again. Checkpoints that this machine could not judge (no space, no memory, QEMU
    killed, too busy) count for no student and are tried again by the next `r4l lab grade`; exit code 120 then.
    """
    if not trusted:
        ladder.require_isolation("what students hand in")
    faults: list[str] = []
    unsure: list[str] = []
    grades: list[grading.Grade] = []
    page: Path | None = None
    seen: set[tuple[str, str]] = set()
    try:
        with Stages() as stages:
            for path in bundles:
                fault, result, before = _graded(path, hidden, into, stages, kernel_name, arch, seen, again=again)
                faults.append(fault)
                if result:
                    grades.append(result)
                    unsure += [f"{plainly(path.name)}: {', '.join(result.unjudged)}"] if result.unjudged else []
                    if not as_json:
                        _show(result, before=before)
    finally:
        # Also after an interruption: grades so far took minutes.
        if "" in faults:
            page = pages.write(into, grading.kept(into))
            if not as_json:
                click.echo(str(page))
    if as_json:
        found = ({"mark": one.mark, "believed": one.believed, "unjudged": one.unjudged} for one in grades)
        entries = [{**one.__dict__, **more} for one, more in zip(grades, found, strict=True)]
        said = {"grades": entries, "not_graded": list(filter(None, faults)), "pages": str(page) if page else None}
        click.echo(json.dumps(said, indent=1))
        raise SystemExit(UsageError.exit_code if any(faults) else Unjudged.exit_code if unsure else 0)
    if any(faults):
        bad = "; ".join(fault for fault in faults if fault)
        raise UsageError(f"not graded: {bad}", "have them handed in again, made by `r4l lab submit`")
    if unsure:
        raise Unjudged(f"not all could be judged: {'; '.join(unsure)}", TRY_AGAIN)


def _graded(
    path: Path,
    hidden: Sequence[Path],
    into: Path,
    stages: Stages,
    kernel_name: str | None,
    arch: str | None,
    seen: set[tuple[str, str]],
    *,
    again: bool,
) -> tuple[str, grading.Grade | None, bool]:
    """Grade a file that may be a bundle.

    Returns:
        The reason why it could not be graded, with its name, else an empty string; the grade; True if the grade is an
            earlier one.
    """
    try:
        read = bundle.Bundle.read(path)
    except bundle.BadBundle as error:
        return error.cause, None, False
    if (read.student, read.lab.name) in seen:
        click.echo(
            f"note: {plainly(path.name)} is a second one of {read.student} for {read.lab.name}, and the pages show "
            "both as one student's (students of one name hand in with --name and what tells them apart)",
            err=True,
        )
    seen.add((read.student, read.lab.name))
    # Outside the `try`: a resource that this machine lacks is not the bundle's fault, and would stop the next one too.
    kernels = prepare(read.lab, stages, kernel_name, arch)
    try:
        return "", *_grade(read, kernels, hidden, into, stages, again=again)
    except (R4LError, OSError) as error:
        return f"{plainly(path.name)}: {error.cause if isinstance(error, R4LError) else error}", None, False


def _grade(
    read: bundle.Bundle,
    kernels: Sequence[Kernel],
    hidden: Sequence[Path],
    into: Path,
    stages: Stages,
    *,
    again: bool,
) -> tuple[grading.Grade, bool]:
    """Grade a bundle and keep the grade; also return True if the same checks graded it before, so that it was not
    checked again."""
    checks = [checks.absolute() for folder in hidden for checks in grading.hidden_checks(folder, read.lab)]
    before = None if again else grading.kept_for(into, grading.key(read, kernels, checks))
    if before and not before.unjudged:
        return before, True
    with stages.stage(f"{escape(read.student)}: {read.lab.name}") as say:
        result = grading.grade(read, kernels, checks, say, before)
    grading.keep(result, into, f"{slug(read.student)}-{read.lab.name}")
    return result, False


def _show(result: grading.Grade, *, before: bool) -> None:
    """Print a line about a bundle."""
    claimed = "" if result.believed else f"  [red]the bundle claims {result.claimed}[/]"
    if result.unjudged:
        claimed = f"  [blue]{len(result.unjudged)} could not be judged[/]{claimed}"
    if before:
        claimed += "  [dim]graded before[/]"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(result.student)}  {escape(result.lab)}  {result.mark}{claimed}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("class"))
def report(folder: Path) -> None:
    """Write a class's pages again: a table (index.html, class.csv) and a page for each student."""
    click.echo(str(pages.write(folder, grading.kept(folder))))


@click.command("matrix")
@click.argument("names", nargs=-1)
@click.option("--only", default="", help="Only variants whose name contains this text.")
@click.option("--markdown", is_flag=True, help="Print a table in Markdown, for the docs.")
@lab_kernel_option
def matrix_(names: tuple[str, ...], only: str, markdown: bool, kernel_name: str | None, arch: str | None) -> None:
    """Grade the graders: each wrong answer of labs/mutants must fail by its name, each right one must pass."""
    labs = [Lab.named(name) for name in names] or Lab.all()
    console, judged = Console(stderr=markdown, highlight=False, soft_wrap=True), []
    with Stages() as stages:
        kernels = {lab.name: prepare(lab, stages, kernel_name, arch) for lab in labs}
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
        raise NotYet(
            f"{len(wrong)} of {len(judged)} are judged wrongly: {', '.join(wrong)}",
            "correct the lab's checks, or the variant",
        )
