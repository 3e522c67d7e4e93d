# SPDX-License-Identifier: MIT
"""The teacher's commands: `r4l lab grade`, `report`, `matrix`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.markup import escape

from r4l import cluster
from r4l.camp.labs import bundle, matrix, pages
from r4l.camp.labs import grade as grading
from r4l.camp.labs.kernels import prepare_kernels, wanted
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.running import DidNotRun
from r4l.camp.labs.student import slug
from r4l.camp.labs.workspace import plainly
from r4l.cli.json_option import json_option
from r4l.cli.lab.shown import MARKS, NotYet, Unjudged
from r4l.cli.options import lab_kernel_option, on_option
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel
from r4l.stages import Stages
from r4l.terminal import Console
from r4l.toolchain import ladder

TRY_AGAIN = (
    "free the resource that this machine lacks, or correct the check that is named as broken, and run the command "
    "again: results so far are kept"
)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--checks", "hidden", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--into", type=click.Path(path_type=Path), default=Path("class"), show_default=True)
@click.option("--again", is_flag=True, help="Check everything, also bundles that are graded in the class's folder.")
@click.option(
    "--trusted", is_flag=True, help="Also without isolation of builds: handed-in code can then do all that you can."
)
@on_option
@lab_kernel_option
@json_option("As JSON: the grades, what could not be graded or judged, the pages.")
def grade(
    bundles: tuple[Path, ...],
    hidden: tuple[Path, ...],
    into: Path,
    again: bool,
    trusted: bool,
    address: str,
    patience: float,
    kernel_name: str | None,
    arch: str | None,
    as_json: bool,
) -> None:
    """Run bundles again in clean machines, and write the class's pages.

    The verdict in a bundle is not used. --checks FOLDER adds hidden checks (a folder with a lab's name for each lab
    that has some, or test files for all labs). --into FOLDER keeps grades and pages; existing grades stay, and results
    of the same checks are not judged again. Checkpoints that could not be judged (no space, no memory, QEMU killed, too
    busy, a broken hidden check) count for no student and are tried again by the next `r4l lab grade`; exit code 120
    then.
    """
    for folder in hidden:
        if not any(folder.rglob(grading.TESTS)):
            raise UsageError(f"{folder} has no file {grading.TESTS}", "name the folder with the hidden checks")
    if address:
        cluster.require()
    elif not trusted:
        ladder.require_isolation("what students hand in")
    faults: list[str] = []
    unsure: list[str] = []
    reasons: dict[str, None] = {}
    grades: list[grading.Grade] = []
    page: Path | None = None
    try:
        with Stages() as stages:
            read = _read(bundles, hidden, into, stages, kernel_name, arch, again=again)
            done = (
                _graded_there(read, address, patience, stages, trusted=trusted)
                if address
                else _graded_here(read, stages)
            )
            for one, result in done:
                name = plainly(one.path.name)
                if isinstance(result, grading.Grade):
                    if result is not one.before:
                        grading.keep(result, into, f"{slug(result.student)}-{result.lab}")
                    grades.append(result)
                    unsure += [f"{name}: {', '.join(result.unjudged)}"] if result.unjudged else []
                    reasons |= dict.fromkeys(result.faults)
                    if not as_json:
                        _show(result, before=result is one.before)
                elif isinstance(result, bundle.BadBundle):
                    faults.append(result.cause)
                elif isinstance(result, UsageError):
                    faults.append(f"{name}: {result.cause}")
                else:
                    # Of the worker, this machine, the checks: nothing that handing in again would help.
                    where = "the worker: " if address and not isinstance(result, DidNotRun) else ""
                    cause = result.cause if isinstance(result, R4LError) else str(result) or repr(result)
                    unsure.append(f"{name}: {where}{cause}")
    finally:
        # Also after an interruption: grades so far took minutes.
        if grades:
            page = pages.write(into, grading.kept(into))
            if not as_json:
                click.echo(str(page))
    if as_json:
        found = ({"mark": one.mark, "believed": one.believed, "unjudged": one.unjudged} for one in grades)
        entries = [{**one.__dict__, **more} for one, more in zip(grades, found, strict=True)]
        said = {"grades": entries, "not_graded": faults, "not_judged": unsure, "pages": str(page) if page else None}
        click.echo(json.dumps(said, indent=1))
        raise SystemExit(UsageError.exit_code if faults else Unjudged.exit_code if unsure else 0)
    not_judged = f"not all could be judged: {'; '.join(unsure)}" if unsure else ""
    if faults:
        cause = f"not graded: {'; '.join(faults)}"
        raise UsageError(
            ". ".join(filter(None, (cause, not_judged))),
            "have those that are not graded handed in again, made by `r4l lab submit`"
            + (f"; for the others, {TRY_AGAIN}" if unsure else ""),
            detail="\n".join(reasons),
        )
    if unsure:
        raise Unjudged(not_judged, TRY_AGAIN, detail="\n".join(reasons))


@dataclass(frozen=True)
class _Read:
    """A file that may be a bundle, before it is graded.

    Attributes:
        path: the file.
        content: the bundle; None if it has a result without any check.
        kernels: kernels to check on.
        names: the user's names of them.
        checks: folders with hidden checks.
        before: the grade that the same checks gave it before.
        result: result of a file that need not be checked: the earlier grade, or the error of what is no bundle.
    """

    path: Path
    content: bundle.Bundle | None = None
    kernels: Sequence[Kernel] = ()
    names: Sequence[str] = ()
    checks: Sequence[Path] = ()
    before: grading.Grade | None = None
    result: grading.Grade | bundle.BadBundle | None = None


_Graded = Iterator[tuple[_Read, grading.Grade | Exception]]


def _read(
    paths: Sequence[Path],
    hidden: Sequence[Path],
    into: Path,
    stages: Stages,
    kernel_name: str | None,
    arch: str | None,
    *,
    again: bool,
) -> Iterator[_Read]:
    """Yield each file with what its grading needs; one after the other, since a bundle can be large."""
    seen: set[tuple[str, str]] = set()
    for path in paths:
        try:
            read = bundle.Bundle.read(path)
        except bundle.BadBundle as error:
            yield _Read(path, result=error)
            continue
        if (read.student, read.lab.name) in seen:
            click.echo(
                f"note: {plainly(path.name)} is a second one of {read.student} for {read.lab.name}, and the pages show "
                "both as one student's (students of one name hand in with --name and what tells them apart)",
                err=True,
            )
        seen.add((read.student, read.lab.name))
        kernels = prepare_kernels(read.lab, stages, kernel_name, arch)
        names = [name for name, _ in wanted(read.lab, kernel_name, arch)]
        checks = [checks.absolute() for folder in hidden for checks in grading.hidden_checks(folder, read.lab)]
        before = None if again else grading.kept_for(into, grading.key(read, kernels, checks))
        if before and not before.unjudged:
            yield _Read(path, before=before, result=before)
        else:
            yield _Read(path, read, kernels, names, checks, before)


def _graded_here(reads: Iterator[_Read], stages: Stages) -> _Graded:
    """Grade bundles one after the other on this computer."""
    for one in reads:
        if one.content is None:
            assert one.result is not None
            yield one, one.result
            continue
        result: grading.Grade | Exception
        try:
            with stages.stage(f"{escape(one.content.student)}: {one.content.lab.name}") as say:
                result = grading.grade(one.content, one.kernels, one.checks, say, one.before)
        except Exception as error:  # noqa: BLE001 (whatever it is, the rest of the class goes on)
            result = error
        yield one, result


def _graded_there(reads: Iterator[_Read], address: str, patience: float, stages: Stages, *, trusted: bool) -> _Graded:
    """Grade bundles on a cluster, in the order in which they are done."""
    work: dict[int, _Read] = {}
    items: list[grading.Grading] = []
    for one in reads:
        if one.content is None:
            assert one.result is not None
            yield one, one.result
            continue
        items.append(grading.Grading.of(one.content, one.kernels, one.checks, one.before, one.names))
        # Without the evidence in the bundle, which can be large.
        work[id(items[-1])] = replace(one, content=None)
    if not items:
        return
    with cluster.connected(address) as client, stages.stage(f"grading on {escape(address)}") as say:
        for item, result in cluster.spread(client, grading.grade_there, trusted, items, patience=patience):
            one = work.pop(id(item))
            say(f"{len(items) - len(work)} of {len(items)} bundles")
            yield one, result


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
        kernels = {lab.name: prepare_kernels(lab, stages, kernel_name, arch) for lab in labs}
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
