# SPDX-License-Identifier: MIT
"""`r4l ps`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from r4l import kept
from r4l.cli.json_option import json_option
from r4l.cli.kept import tell_earlier, tell_of_lost
from r4l.errors import UsageError, VerdictError
from r4l.kept.client import untold as untold_complaints
from r4l.terminal import Console


@click.command(epilog="Examples: r4l ps;  r4l ps --json")
@json_option("As JSON.")
def command(as_json: bool) -> None:
    """List the machines that `r4l run --keep` has left running.

    If a kernel complained while no command ran there, or before its machine ended, and no command has told it yet, the
    complaint is printed and the exit code is 123.
    """
    code = tell_of_lost()
    there = kept.running()
    untold = {machine.name: _untold(machine) for machine in there}
    for machine in there:
        tell_earlier(untold[machine.name], machine)
    code = code or (VerdictError.exit_code if any(untold.values()) else 0)
    if as_json:
        told = [asdict(machine) | {"complaints": untold[machine.name]} for machine in there]
        click.echo(json.dumps(told, indent=1))
    else:
        _show(there)
    raise SystemExit(code)


def _untold(machine: kept.Kept) -> list[str]:
    # The machine may end between the two questions; the next call tells of that.
    with contextlib.suppress(UsageError):
        return untold_complaints(machine)
    return []


def _show(there: Sequence[kept.Kept]) -> None:
    screen = Console(highlight=False, soft_wrap=True)
    for machine in there:
        age = time.time() - machine.since
        ago = f"{age / 60:.0f} min" if age < 7200 else f"{age / 3600:.0f} h"
        modules = ", ".join(machine.modules) or "no module"
        line = f"{machine.name:<20} {machine.kernel} {machine.arch:<8} {ago:>8}  pid {machine.pid}  {modules}"
        screen.print(line, markup=False)
    if not there:
        click.echo("no machine is kept", err=True)
