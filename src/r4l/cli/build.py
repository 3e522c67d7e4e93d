# SPDX-License-Identifier: MIT
"""`r4l build`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape

from r4l.cli import editor_files
from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import config_option, kernel_option
from r4l.cli.screen import show_warnings
from r4l.module import Module
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.terminal import Console


@click.command(
    cls=ProjectCommand,
    epilog="Examples: r4l build .;  r4l build rust/drivers/e1000 --json;  r4l build . --config MYNIC=m",
)
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@config_option
@kernel_option
@json_option("Print the modules as JSON.")
def command(folder: Path, config: dict[str, str], kernel_name: str | None, arch: str, as_json: bool) -> None:
    """Build a module folder: any standard out-of-tree Kbuild.

    The folder stays clean; products lie under R4L_HOME, and the path of each .ko is printed. Each .ko is checked
    against the kernel (version magic, symbols) before anything boots.
    """
    module = Module(folder, config)
    module.require_kbuild()
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        with stages.stage(f"building {module.folder.name}") as say:
            built = module.build_all(kernel, say=say)
        editor_files.follow(module, kernel, stages)
    show_warnings([built[0].warnings])
    if as_json:
        entries = [
            {"name": ko.name, "path": str(ko.path), "vermagic": ko.vermagic, "modinfo": ko.modinfo} for ko in built
        ]
        notes = [asdict(note) for note in built[0].notes]
        click.echo(
            json.dumps(
                {"kernel": kernel.release, "modules": entries, "notes": notes, "warnings": built[0].warnings}, indent=1
            )
        )
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in built[0].notes:
        console.print("[yellow]note:[/]   ", end="")
        console.print(note.cause, markup=False)
        console.print("[green]remedy:[/] ", end="")
        console.print(note.remedy, markup=False)
        console.print(note.text, markup=False, style="dim")
    for ko in built:
        if not is_quiet():
            console.print(
                f"[green]✓[/] {escape(ko.name)} for {escape(kernel.release)}, {ko.path.stat().st_size // 1024} KiB"
            )
        click.echo(str(ko.path))
