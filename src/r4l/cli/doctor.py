# SPDX-License-Identifier: MIT
"""`r4l doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from r4l import doctor
from r4l.cli.called import as_called
from r4l.cli.json_option import json_option
from r4l.debian import choice
from r4l.errors import EnvironmentFault
from r4l.settings import Settings
from r4l.terminal import Console


@click.command(epilog="Example: r4l doctor --json")
@click.option("--fix", is_flag=True, hidden=True, help="Nothing of the host's needs to be installed any more.")
@json_option("Print the findings as JSON.")
def command(fix: bool, as_json: bool) -> None:
    """List what this machine lacks, with the remedies.

    One line for each requirement: found, or the cause and the remedy. Exit code 120: a requirement of r4l is missing.
    """
    choice.prefer(Settings.near(Path()))
    if fix:
        click.echo("nothing of the host's packages is needed", err=True)
    findings = doctor.findings()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
            console.print(f"{mark} [bold]{finding.name:<18}[/] ", end="")
            console.print(finding.found, markup=False)
            if finding.remedy:
                console.print(f"  {'':<18} [green]remedy:[/] ", end="")
                console.print(as_called(finding.remedy), markup=False)
    if not all(finding.ok for finding in findings):
        raise SystemExit(EnvironmentFault.exit_code)
