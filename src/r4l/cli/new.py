# SPDX-License-Identifier: MIT
"""`r4l new`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.markup import escape

from r4l import ide
from r4l.cli.called import called
from r4l.cli.json_option import json_option
from r4l.cli.options import kernel_option
from r4l.kernel import named
from r4l.module import Module
from r4l.scaffold import Template, create
from r4l.stages import Stages
from r4l.terminal import Console

TEMPLATES = Template.all()


@click.command(
    epilog="\b\nTemplates:\n"
    + "\n".join(f"  {name:<8} {template.description}" for name, template in TEMPLATES.items())
    + "\n\n\b\nExamples:\n  r4l new my_driver\n  r4l new mynic --template netdev && cd mynic && r4l test"
)
@click.argument("name")
@click.option(
    "--template", "-t", "template_name", type=click.Choice(list(TEMPLATES)), default="hello", show_default=True
)
@click.option("--author", help="Author in the module's metadata; git's user.name by default.")
@click.option("--ide/--no-ide", "editor", default=True, help="Also write the editor files, like `r4l ide` (on).")
@kernel_option
@json_option("Print what was made as JSON.")
def command(
    name: str, template_name: str, author: str | None, editor: bool, kernel_name: str | None, arch: str, as_json: bool
) -> None:
    """Make a folder with a new driver: its source, Kbuild, passing tests, README, CI workflow, editor files.

    The folder builds with `r4l build` and with plain make, and each of its tests boots a virtual machine. No existing
    file is overwritten.
    """
    template = Template.named(template_name)
    # Before the folder is made: an unknown kernel must not leave a folder that blocks the next call.
    kernel = named.ready(kernel_name or "stock", arch=arch) if editor or kernel_name else None
    folder = create(name, template, Path.cwd(), author=author)
    if editor and kernel:
        with Stages() as stages, stages.stage("editor files") as say:
            ide.for_module(Module(folder), kernel, say=say)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if as_json:
        click.echo(
            json.dumps({"name": name, "template": template_name, "folder": str(folder), "files": files}, indent=1)
        )
        return
    program = called(anywhere=True)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {escape(name)}: {template.description}")
    for file in files:
        console.print(f"  [dim]{escape(name)}/[/]{escape(file)}")
    if editor and kernel is None:
        console.print(f"editor files need a ready kernel: `{program} ide .` makes one ready and writes them")
    console.print(f"next: cd {escape(name)} && {program} build . && {program} test")
    click.echo(str(folder))
