# SPDX-License-Identifier: MIT
"""`r4l ps`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from r4l import kept
from r4l.cli.json_option import json_option


@click.command(epilog="Examples: r4l ps;  r4l ps --json")
@json_option("As JSON.")
def command(as_json: bool) -> None:
    """List the machines that `r4l run --keep` has left running."""
    there, lost = kept.every()
    if as_json:
        click.echo(json.dumps([asdict(machine) for machine in there], indent=1))
        return
    for machine in lost:
        click.echo(f"note: {machine.why_gone}", err=True)
    for machine in there:
        age = time.time() - machine.since
        ago = f"{age / 60:.0f} min" if age < 7200 else f"{age / 3600:.0f} h"
        modules = ", ".join(machine.modules) or "no module"
        click.echo(f"{machine.name:<20} {machine.kernel} {machine.arch:<8} {ago:>8}  pid {machine.pid}  {modules}")
    if not there:
        click.echo("no machine is kept", err=True)
