# SPDX-License-Identifier: MIT
"""`r4l selftest`."""

from __future__ import annotations

import sys

import click

from r4l import selftest
from r4l.errors import UsageError
from r4l.selftest.parts import Selection
from r4l.selftest.touched import changed_files, within

EPILOG = """\
Examples: r4l selftest;  r4l selftest --only unit;  r4l selftest -- -k ping;  r4l selftest --touched=main --minutes 20
"""


@click.command(epilog=EPILOG, context_settings={"ignore_unknown_options": True})
@click.option("--all", "everything", is_flag=True, help="All parts, and all of each.")
@click.option("--only", metavar="PART", multiple=True, help="All of these parts and nothing else; may be repeated.")
@click.option(
    "--touched",
    metavar="COMMIT",
    is_flag=False,
    flag_value="",
    help="Run the tests that the default selection leaves out, of the parts affected by the changes since a commit, "
    "uncommitted ones too; without one, by the changes of the last day.",
)
@click.option("--minutes", type=float, help="With --touched: run as many parts as fit into that time; list the rest.")
@click.option(
    "--continue", "go_on", is_flag=True, help="Leave out the parts that have passed before on the very same files."
)
@click.option("--list", "show", is_flag=True, help="Name the parts and run nothing.")
@click.option("--python", is_flag=True, help="Print the path of the Python that has the tests' tools, and run nothing.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    everything: bool,
    only: tuple[str, ...],
    touched: str | None,
    minutes: float | None,
    go_on: bool,
    show: bool,
    python: bool,
    pytest_arguments: tuple[str, ...],
) -> None:
    """Run the project's own tests: lint, types, unit tests, tests in virtual machines, labs, arm64.

    Needs a checkout. Words after `--` are given to pytest. By default those parts run that find most, each without the
    tests that are marked `thorough`; --all runs everything: the drivers on a kernel with all checkers, kernels from
    source, editors, interrupted setups, drivers broken on purpose. That takes hours: --continue goes on with an
    interrupted run.
    """
    if go_on and pytest_arguments:
        raise UsageError("--continue is about whole parts", "leave out the words for pytest")
    if sum((everything, bool(only), touched is not None)) > 1:
        raise UsageError("--all, --only and --touched exclude each other", "use one of them")
    if python:
        click.echo(sys.executable)
        return
    if minutes is not None and touched is None:
        raise UsageError("--minutes goes with --touched", "leave out --minutes")
    root = selftest.checkout()
    table = selftest.table(root)
    unknown = [name for name in only if name not in table]
    if unknown:
        raise UsageError(f"there is no part {unknown[0]}", f"use one of {', '.join(table)}")
    chosen = [part for part in table.values() if part.default]
    if everything or only:
        chosen = [part for part in table.values() if everything or part.name in only]
    elif touched is not None:
        files = changed_files(root, touched or None)
        chosen = [part for part in table.values() if part.rest and any(map(part.is_about, files))]
        if not chosen:
            click.echo("the default selection leaves out nothing of the parts that these changes are about", err=True)
        if minutes is not None:
            chosen, rest = within(chosen, minutes)
            for part in rest:
                click.echo(f"not run, no time: {part.name} ({part.minutes:g} minutes)", err=True)
    if show:
        for part in chosen:
            click.echo(f"{part.name:<14} {part.minutes:>5g} min  {part.about}")
        return
    selection: Selection | None = "all" if everything or only else None if touched is not None else "sample"
    raise SystemExit(selftest.run(chosen, pytest_arguments, selection, go_on=go_on))
