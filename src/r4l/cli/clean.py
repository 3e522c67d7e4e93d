# SPDX-License-Identifier: MIT
"""`r4l clean`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import click
from rich.markup import escape
from rich.table import Table

from r4l import clean
from r4l.clean import Entry
from r4l.cli.json_option import fail, json_option
from r4l.cli.screen import screen
from r4l.errors import EnvironmentFault
from r4l.terminal import Console

MARKS = {
    "kept": "",
    "unused": "[yellow]unused[/]",
    "in use": "[blue]in use[/]",
    "removed": "[green]removed[/]",
    "unknown": "[magenta]not r4l's[/]",
}
SMALL, SMALL_KEPT = 1 << 20, 64 << 20
"""Bytes below which entries of a room with the same state for the same reason are shown as one line; the same for kept
entries."""

EPILOG = """\b
Examples:
  r4l clean --dry-run            list the home and what would be removed
  r4l clean                      remove what nothing uses
  r4l clean --kernel minimal     remove the kernel of that name
  r4l clean --all                remove all but records; the next command makes it again
"""


@click.command(epilog=EPILOG)
@click.option("--all", "everything", is_flag=True, help="Remove everything that r4l can make again, used or not.")
@click.option("--kernel", "kernels", metavar="NAME", multiple=True, help="Remove this kernel only.")
@click.option("--image", "images", metavar="NAME", multiple=True, help="Remove this disk image only.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, only list.")
@json_option("Print the entries as JSON.")
def command(everything: bool, kernels: tuple[str, ...], images: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """List the contents of the home, and remove what nothing uses.

    Kept are the toolchain in force, kernels that have a name, products built for them, records of files that r4l wrote
    into your folders, and caches used within a week. Entries in use by a process are never removed, nor files that r4l
    did not make.

    Exit code 120: a named entry is in use.
    """
    entries = clean.survey()
    named: list[Entry] = []
    for name in kernels:
        named += clean.named_kernel(entries, name)
    for name in images:
        named += clean.named_image(entries, name)
    doomed = named or [entry for entry in entries if _is_doomed(entry, everything)]
    if named:
        entries = named
    done = [_removed(entry, dry_run) if entry in doomed else entry for entry in entries]
    if as_json:
        freed = sum(entry.size for entry in done if entry.state == "removed")
        click.echo(json.dumps({"entries": [entry.as_data() for entry in done], "freed_bytes": freed}, indent=1))
    else:
        _show(done, dry_run)
    stuck = [entry for entry in done if entry.state == "in use" and entry.path in {other.path for other in named}]
    if stuck:
        error = EnvironmentFault(
            f"{stuck[0].name} is in use: {stuck[0].why}", "end that process, and run the command again"
        )
        fail(error, as_json=as_json)


def _is_doomed(entry: Entry, everything: bool) -> bool:
    return entry.state == "unused" or (everything and entry.all_too and entry.state == "kept")


def _removed(entry: Entry, dry_run: bool) -> Entry:
    asked = replace(entry, why=f"asked for ({entry.why})") if entry.state == "kept" else entry
    return replace(asked, state="unused") if dry_run else clean.remove(asked)


def _show(entries: Sequence[Entry], dry_run: bool) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("room", "entry"):
        table.add_column(column, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("used", no_wrap=True)
    table.add_column("")
    table.add_column("why", overflow="fold")
    for entry in _gathered(entries):
        size, used, mark = _size(entry.size), _ago(entry.used), MARKS[entry.state]
        table.add_row(entry.room, escape(entry.name), size, used, mark, escape(entry.why))
    console = screen()
    console.print(table)
    whole = _size(sum(entry.size for entry in entries))
    gone = _size(sum(entry.size for entry in entries if entry.state in ("removed", "unused")))
    Console(stderr=True, highlight=False).print(f"{whole} in all, {gone} {'would be freed' if dry_run else 'freed'}")


def _gathered(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with small ones of a room, state and reason gathered into one."""
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for number, entry in enumerate(entries):
        limit = SMALL_KEPT if entry.state == "kept" else SMALL
        alone = entry.size >= limit or entry.state in ("unknown", "in use")
        found.setdefault((entry.room, str(number) if alone else entry.state, entry.why), []).append(entry)
    gathered = []
    for group in found.values():
        first = group[0]
        name = first.name if len(group) == 1 else f"{len(group)} entries"
        size, used = sum(entry.size for entry in group), max(entry.used for entry in group)
        gathered.append(replace(first, name=name, size=size, used=used))
    return gathered


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _ago(moment: float) -> str:
    days = (time.time() - moment) / 86400
    return f"{days:.0f} days ago" if days >= 2 else f"{days * 24:.0f} h ago"
