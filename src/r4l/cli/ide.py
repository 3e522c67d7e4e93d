# SPDX-License-Identifier: MIT
"""`r4l ide`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click
from rich.markup import escape

from r4l import ide
from r4l.cli.commands import ProjectCommand
from r4l.cli.json_option import fail, json_option
from r4l.cli.options import config_option, kernel_option
from r4l.errors import UsageError, VerdictError
from r4l.graft import git as graft_git
from r4l.ide import EditorFiles, check, owned
from r4l.ide.check import Understood
from r4l.module import Module
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.terminal import Console


@click.command(
    cls=ProjectCommand,
    epilog="Examples: r4l ide .;  r4l ide --tree;  r4l ide --tree --subsystem drivers/usb --subsystem lib",
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@config_option
@kernel_option
@click.option("--tree", is_flag=True, help="For the kernel's own source instead of a module folder.")
@click.option(
    "--subsystem",
    "subsystems",
    multiple=True,
    metavar="FOLDER",
    help=f"With --tree: a folder of the kernel whose C is listed ({', '.join(ide.default_subsystems())} by default).",
)
@click.option("--force", is_flag=True, help="Also replace files and settings that r4l did not write.")
@click.option("--check", "checked", is_flag=True, help="Let rust-analyzer and clangd look at every file of FOLDER.")
@click.option("--if-moved", is_flag=True, help="Only if FOLDER has editor files, and was moved or away.")
@json_option("Print what was written as JSON.")
def command(
    folder: Path | None,
    config: dict[str, str],
    kernel_name: str | None,
    arch: str,
    tree: bool,
    subsystems: tuple[str, ...],
    force: bool,
    checked: bool,
    if_moved: bool,
    as_json: bool,
) -> None:
    """Write editor files: rust-project.json, compile_commands.json and VS Code's settings.

    The files go into FOLDER, the module folder that you edit (by default the current one). They describe the real build
    of the module, so it is built first. Files that r4l did not write are left alone. The language servers are those of
    the toolchain; docs/editor.md describes how editors other than VS Code start them.
    """
    if tree and (folder or checked):
        raise UsageError("--tree is for the kernel's source, not for a folder or a --check", "leave out one of the two")
    if subsystems and not tree:
        raise UsageError("--subsystem goes with --tree", "add --tree")
    module = Module(folder or Path(), config)
    if not tree:
        module.require_kbuild()
    understood = None
    if if_moved:
        _rewrite(module, kernel_name, arch)
        return
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        with stages.stage("editor files") as say:
            if tree:
                files = ide.for_tree(kernel, subsystems, force=force, say=say)
            else:
                files = ide.for_module(module, kernel, force=force, say=say)
        if checked:
            with stages.stage("asking rust-analyzer and clangd") as say:
                understood = check.module(files, say)
    if as_json:
        click.echo(json.dumps(_as_json(files, understood), indent=1))
    else:
        _show(files)
    if understood:
        _judge(understood, as_json=as_json)


def _rewrite(module: Module, kernel_name: str | None, arch: str) -> None:
    if owned.moved(module.folder) is None and not ide.is_unseen(module.folder):
        return
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        with stages.stage("editor files") as say:
            if ide.rewrite_if_moved(module, kernel, say) is None:
                ide.show(module.folder, kernel, say)


def _judge(understood: Understood, *, as_json: bool) -> None:
    """Print the servers' findings about the folder.

    Raises:
        VerdictError: the servers miss names, or report errors.
        SystemExit: likewise, where the findings were printed as JSON.
    """
    complaints = [*map(str, understood.names), *map(str, understood.errors)]
    if complaints:
        error = VerdictError(
            f"rust-analyzer and clangd do not understand all of {len(understood.files)} files",
            "correct the listed lines; if the folder builds nevertheless, run `r4l ide` again after a build",
            detail="\n".join(complaints),
        )
        fail(error, as_json=as_json)
    console = Console(stderr=True, highlight=False)
    console.print(f"[green]✓[/] rust-analyzer and clangd find every name in {len(understood.files)} files")
    if understood.limits:
        console.print("[dim]but for what rustc compiles and rust-analyzer does not know the types of:[/]")
        for limit in understood.limits:
            console.print(f"  {limit}", markup=False, style="dim", soft_wrap=True)


def _as_json(files: EditorFiles, understood: Understood | None) -> dict[str, object]:
    checked = None
    if understood:
        checked = {
            "files": len(understood.files),
            "unresolved": [str(name) for name in understood.names],
            "errors": [str(error) for error in understood.errors],
            "limits": [str(limit) for limit in understood.limits],
        }
    return {
        "folder": str(files.folder),
        "rust_projects": [str(path) for path in files.projects],
        "compile_commands": str(files.commands) if files.commands else None,
        "settings": str(files.settings),
        "servers": {name: str(path) for name, path in files.programs.items()},
        "changed": [str(path) for path in files.changed],
        "settings_kept": files.kept,
        "checked": checked,
        "broken": files.broken.cause if files.broken else None,
    }


def _show(files: EditorFiles) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[green]✓[/] {escape(files.folder.name)}: open it in the editor; it finds", markup=True)
    for path in (*files.projects, files.commands, files.settings):
        if path:
            click.echo(str(path))
    for name, path in files.programs.items():
        console.print(f"  {name}: {path}", markup=False)
    if files.kept is None:
        console.print(
            "[yellow]note:[/] .vscode/settings.json is not readable JSON, and was left unchanged; "
            f"correct it and run the command again, or copy the settings from {escape(files.settings.name)}"
        )
    elif files.kept:
        console.print(
            f"[yellow]note:[/] settings.json keeps your own {escape(', '.join(files.kept))}; --force replaces them"
        )
    if files.broken:
        console.print("[yellow]note:[/] the module does not build; once it does, run the command again: ", end="")
        console.print(files.broken.cause, markup=False)
    tracked = [path.relative_to(files.folder) for path in not_ignored(files.folder, _made(files))]
    if tracked:
        console.print(
            f"[dim]these files hold paths of this machine; add to .gitignore: {escape(' '.join(map(str, tracked)))}[/]"
        )


def _made(files: EditorFiles) -> list[Path]:
    return [path for path in (*files.projects, files.commands, files.settings) if path]


def not_ignored(folder: Path, made: Iterable[Path]) -> list[Path]:
    """Return the files in a folder that git would offer to commit."""
    inside = [path for path in made if path.is_relative_to(folder)]
    if not shutil.which("git"):
        return inside
    # The folder's own .git/config may name a program for git to run.
    git = ["git", "-c", "core.fsmonitor=false", "-C", str(folder)]
    own = graft_git.environment()
    if subprocess.run([*git, "rev-parse"], capture_output=True, check=False, env=own).returncode != 0:
        return []
    return [
        path
        for path in inside
        if subprocess.run([*git, "check-ignore", "-q", path], check=False, env=own).returncode != 0
    ]
