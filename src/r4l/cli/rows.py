# SPDX-License-Identifier: MIT
"""`r4l rows`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

import click
from rich.table import Table

from r4l import resources
from r4l.camp import rows
from r4l.cli.json_option import json_option
from r4l.cli.screen import screen

STYLE = {"passed": "green", "failed": "bold red", "not run": "yellow", "no check": "dim"}


def marked_tests() -> dict[str, list[str]] | None:
    """Return the tests of this checkout by the row that they carry; None without a checkout or pytest."""
    checkout = resources.checkout()
    if checkout is None:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--rows-only", "-q", "-p", "no:cacheprovider"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    found: dict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        if line.startswith("ROW "):
            _, row, test = line.split(" ", 2)
            found[row].append(test)
    return dict(found) if found else None


@click.command(epilog="Example: r4l rows --json | jq '.[] | select(.state != \"passed\") | .id'")
@json_option("Print the rows as JSON.")
@click.option("--state", type=click.Choice(list(STYLE)), help="Only rows in this state.")
def command(as_json: bool, state: str | None) -> None:
    """List the rows of the specification, each with the state of its checks.

    The state is that of the last `r4l selftest` on this machine: passed, failed, not run, or no check.
    """
    states = [entry for entry in rows.states(marked_tests()) if state in (None, entry.state)]
    if as_json:
        data = [
            {"id": s.row.id, "item": s.row.item, "works_when": s.row.works_when, "state": s.state, "tests": s.tests}
            for s in states
        ]
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("row", style="bold")
    table.add_column("item")
    table.add_column("state", no_wrap=True)
    table.add_column("checks", justify="right")
    for entry in states:
        table.add_row(entry.row.id, entry.row.item, f"[{STYLE[entry.state]}]{entry.state}", str(len(entry.tests) or ""))
    console = screen()
    console.print(table)
    passed = sum(entry.state == "passed" for entry in states)
    console.print(f"[bold]{passed} of {len(states)} rows have passing checks")
