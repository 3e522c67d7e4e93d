# SPDX-License-Identifier: MIT
"""`r4l watch`."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import click
from rich.markup import escape

from r4l.cli import editor_files, show
from r4l.cli.commands import PytestCommand
from r4l.cli.options import config_option, kernel_option
from r4l.module import Module
from r4l.module.parameters import parameters_of
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.terminal import ColouredOutput, Console
from r4l.watch.job import JobResult
from r4l.watch.loop import Loop
from r4l.watch.project import Project

VERDICTS = {
    0: "[green]✓ passed[/]",
    2: "[red]✗ cannot run[/]",
    121: "[red]✗ does not build[/]",
    122: "[red]✗ does not boot[/]",
    123: "[red]✗ failed[/]",
    124: "[red]✗ does not end[/]",
}
NAMED = 5
"""Number of saved files that are named; of more, only the number is shown."""


class WatchScreen:
    """The screen."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._output = ColouredOutput()
        self.color = self._console.is_terminal and not self._console.no_color

    @property
    def columns(self) -> int:
        """Present width of the terminal in characters."""
        return shutil.get_terminal_size().columns

    def begin(self, saved: frozenset[Path]) -> None:
        """Print a line with the time and the saved files."""
        self._output = ColouredOutput()
        names = sorted({path.name for path in saved})
        said = ", ".join(names) if len(names) <= NAMED else f"{len(names)} files"
        self._console.print(f"\n[dim]── {time.strftime('%H:%M:%S')}[/] ", end="")
        self._console.print(said or "the first run", markup=False, style="bold")

    def output(self, data: bytes) -> None:
        """Write output, with every control sequence escaped that does more than to colour."""
        print(self._output.text(data), end="", flush=True)

    def gone(self, folder: Path) -> None:
        """Print that the folder is gone."""
        self._console.print(f"\n[yellow]… {escape(str(folder))} is gone: the next run begins when it is back[/]")

    def superseded(self) -> None:
        """Print that a run was ended because of a newer save."""
        self._console.print("[yellow]… saved meanwhile: started again[/]")

    def end(self, outcome: JobResult | None, seconds: float) -> None:
        """Print the error, and a line with the verdict and the time of each step."""
        print(self._output.text(b"", last=True), end="", flush=True)
        if outcome is None:
            self._console.print("[red]✗ the run was killed[/]")
            return
        if outcome.error:
            show(outcome.error, console=self._console)
        steps = " · ".join(f"{name} {taken:.1f} s" for name, taken in outcome.steps)
        verdict = VERDICTS.get(outcome.code, "[red]✗ went wrong[/]")
        self._console.print(f"{verdict} [dim]{seconds:.1f} s after the save ({steps})[/]")


@click.command(
    cls=PytestCommand,
    epilog="Examples: r4l watch;  r4l watch my_driver --kernel debug;  r4l watch my_driver -- -x -k ping",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST_ARGUMENTS...]")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Module parameter, where there are no tests.")
@config_option
@kernel_option
def command(
    folder: Path | None,
    pytest_arguments: tuple[str, ...],
    param: tuple[str, ...],
    config: dict[str, str],
    kernel_name: str | None,
    arch: str,
) -> None:
    """At each save, build and run the affected tests; ^C ends the command.

    FOLDER is a module's, by default the current one. A saved test file runs its own tests, any other file runs all
    tests of the folder. Tests run as you, outside the sandbox. Without tests, the module is loaded and unloaded in a
    fresh VM. Words after `--` are given to pytest.
    """
    project = Project.of(folder or Path())
    parameters = parameters_of(param)
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        editor_files.follow(Module(project.folder, config), kernel, stages)
    Loop(project, kernel, WatchScreen(), pytest_arguments, parameters, config).forever()
