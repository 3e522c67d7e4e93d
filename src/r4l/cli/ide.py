# SPDX-License-Identifier: MIT
"""`r4l ide`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import click
from rich.console import Console

from r4l import ide
from r4l.cli.options import kernel_option
from r4l.errors import UsageError
from r4l.ide import EditorFiles
from r4l.module import Module
from r4l.setup import set_up
from r4l.stages import Stages


@click.command(epilog="Examples: r4l ide .;  r4l ide --tree;  r4l ide --tree --subsystem drivers/usb --subsystem lib")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@kernel_option
@click.option("--tree", is_flag=True, help="For the kernel's own source instead of a module folder.")
@click.option(
    "--subsystem",
    "subsystems",
    multiple=True,
    metavar="FOLDER",
    help=f"With --tree: a folder of the kernel whose C is listed ({', '.join(ide.default_subsystems())} by default).",
)
@click.option("--force", is_flag=True, help="Replace files and settings that r4l did not write.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    folder: Path | None, release: str | None, tree: bool, subsystems: tuple[str, ...], force: bool, as_json: bool
) -> None:
    """Write editor files: rust-project.json, compile_commands.json and VS Code's settings.

    Into FOLDER, the module folder that you edit (by default the one you are in). They say how the module is really
    built, so it is built first. Files that r4l did not write are left alone. The servers themselves are those of the
    toolchain; docs/editor.md says how other editors start them.
    """
    if tree and folder:
        raise UsageError("--tree is for the kernel's source, not for a folder", "leave out one of the two")
    if subsystems and not tree:
        raise UsageError("--subsystem goes with --tree", "add --tree")
    module = Module(folder or Path())
    if not tree:
        module.require_kbuild()
    with Stages() as stages:
        kernel = set_up(stages, release)
        with stages.stage("editor files") as say:
            if tree:
                files = ide.for_tree(kernel, subsystems, force=force, say=say)
            else:
                files = ide.for_module(module, kernel, force=force, say=say)
    if as_json:
        click.echo(json.dumps(_as_json(files), indent=1))
    else:
        _show(files)


def _as_json(files: EditorFiles) -> dict[str, object]:
    return {
        "folder": str(files.folder),
        "rust_projects": [str(path) for path in files.projects],
        "compile_commands": str(files.commands) if files.commands else None,
        "settings": str(files.settings),
        "servers": {name: str(path) for name, path in files.programs.items()},
        "changed": [str(path) for path in files.changed],
        "note": files.note,
        "broken": files.broken.cause if files.broken else None,
    }


def _show(files: EditorFiles) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for path in (*files.projects, files.commands, files.settings):
        if path:
            state = "" if path in files.changed else " [dim](unchanged)[/]"
            console.print(f"[green]✓[/]{state} ", end="")
            click.echo(str(path))
    for name, path in files.programs.items():
        console.print(f"  {name}: {path}")
    if files.note:
        console.print(
            f"[yellow]note:[/] .vscode/settings.json stays as it is, because {files.note}; "
            f"take what you want from {files.settings.name}, or use --force"
        )
    if files.broken:
        console.print("[yellow]note:[/] the module does not build now; once it does, run this again: ", end="")
        console.print(files.broken.cause, markup=False)
    tracked = [path.relative_to(files.folder) for path in _to_ignore(files)]
    if tracked:
        console.print(f"[dim]these hold paths of this machine; for .gitignore: {' '.join(map(str, tracked))}[/]")


def _to_ignore(files: EditorFiles) -> list[Path]:
    """Files of the folder that git would offer to commit."""
    made = [path for path in (*files.projects, files.commands, files.settings) if path]
    inside = [path for path in made if path.is_relative_to(files.folder)]
    if not shutil.which("git"):
        return inside
    git = ["git", "-C", str(files.folder)]
    if subprocess.run([*git, "rev-parse"], capture_output=True, check=False).returncode != 0:
        return []
    return [path for path in inside if subprocess.run([*git, "check-ignore", "-q", path], check=False).returncode != 0]
