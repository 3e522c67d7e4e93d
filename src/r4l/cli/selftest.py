# SPDX-License-Identifier: MIT
"""`r4l selftest`."""

from __future__ import annotations

import click

from r4l import selftest


@click.command(
    epilog="Examples: r4l selftest;  r4l selftest --only unit;  r4l selftest -- -k ping",
    context_settings={"ignore_unknown_options": True},
)
@click.option(
    "--only", type=click.Choice(list(selftest.PARTS)), multiple=True, help="Only these parts; may be repeated."
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(only: tuple[str, ...], pytest_arguments: tuple[str, ...]) -> None:
    """Run the project's own tests: lint, types, unit tests, tests in virtual machines, kernels from source, arm64.

    Needs a checkout. What follows `--` is given to pytest. Some parts run only where they are asked for: `--only debug`
    (the drivers on a kernel with all checkers), `--only builds` (more kernels from source), `--only mutants` (drivers
    broken on purpose), `--only images` (disk images whose making is interrupted).
    """
    raise SystemExit(selftest.run(only or selftest.DEFAULT, pytest_arguments))
