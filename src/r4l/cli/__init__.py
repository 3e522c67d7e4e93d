# SPDX-License-Identifier: MIT
"""The command line: one file per command; this file calls them and turns errors into exit codes."""

from __future__ import annotations

import importlib
import io
import json
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import click
from rich.text import Text

from r4l import inuse
from r4l.cli import quiet
from r4l.cli.called import as_called
from r4l.cli.faults import (
    ReaderGone,
    fault_of,
    fill_closed,
    flush_or_drop,
    flush_stdout,
    output_fault,
    reader_may_go,
)
from r4l.cli.json_option import ASKED, asks_for_json, context_of
from r4l.cli.screen import show_what_can_be_shown
from r4l.errors import EXIT_CODES, NO_SPACE, R4LError, UsageError
from r4l.process import end_all
from r4l.stages import Stages
from r4l.terminal import Console, only_colours

COMMANDS: dict[str, str] = {
    "demo": "From nothing to a Rust driver that pings, with a report",
    "doctor": "List what this machine lacks, with the remedies",
    "setup": "Make the toolchain and the kernel ready",
    "clean": "List the contents of the home, and remove what nothing uses",
    "kernel": "List, describe, configure and build kernels",
    "new": "Make a folder with a new driver, from a template",
    "build": "Build a module folder",
    "graft": "Put a driver into a kernel's own tree, or take it out again",
    "test": "Run the tests of a driver's folder: pytest, with a VM for each test",
    "bench": "Count a driver's instructions for a workload, beside another driver's",
    "sweep": "Break a driver's device at each access, and see what becomes of the driver",
    "watch": "At each save, build and run the affected tests",
    "lab": "The camp's labs: start, check, hand in, grade",
    "ide": "Write editor files: rust-analyzer, clangd, VS Code",
    "run": "Load a module in a fresh virtual machine and run a command there",
    "scope": "Draw a driver at work: rings, registers, packets, interrupts, step by step",
    "debug": "Load a module in a fresh virtual machine with gdb attached",
    "shell": "Open a shell in a fresh virtual machine, or in a kept one",
    "exec": "Run a command in a machine that `run --keep` left running",
    "ps": "List the machines that `run --keep` left running",
    "stop": "End a machine that `run --keep` left running",
    "log": "List the complaints in any kernel log, each with the module to blame",
    "selftest": "Run the project's own tests",
    "rows": "List the rows of the specification and whether their checks pass",
    "completion": "Print the shell completion script",
}


class LazyGroup(click.Group):
    """A group that imports a command's file only when the command is called: `r4l --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, from the module of the same name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"r4l.cli.{cmd_name}").command
        quiet.add_to(command)
        return command

    def make_context(self, *arguments: Any, **rest: Any) -> click.Context:
        """Make the context like click, which prints the help here; a reader that goes away ends the program."""
        with reader_may_go():
            return super().make_context(*arguments, **rest)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command like click; a reader that goes away ends the program."""
        with reader_may_go():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """\b
Examples:
  r4l demo                          the whole way, with a report
  r4l build rust/drivers/hello      to .ko, for the stock kernel
  r4l run rust/drivers/hello -- dmesg
  r4l run . --shell                 load it and look around

\b
Exit codes:
""" + "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())


@click.group(
    cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="r4l")
def cli() -> None:
    """The workbench for Linux drivers in Rust.

    Build a driver in a second, boot it in three, on an unmodified Debian kernel. Everything r4l makes lies under
    R4L_HOME (the user's cache folder by default).
    """


def show(error: R4LError, *, as_json: bool = False, console: Console | None = None) -> None:
    """Print an error.

    For a recognised error: cause and remedy, and below them the text that they explain. For any other: its text, then
    cause and remedy, so that these are seen last.
    """
    if as_json:
        click.echo(json.dumps(error.as_dict()))
        return
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        _print(error, console)
    except OSError as full:
        # Nobody can be told, and the exit code is that of the error.
        if full.errno not in NO_SPACE:
            raise


def _print(error: R4LError, console: Console) -> None:
    if error.known:
        _print_cause(console, error)
        console.print()
        _print_detail(console, error)
    else:
        _print_detail(console, error)
        _print_cause(console, error)
    if error.log:
        console.print("[dim]log:[/]    ", end="")
        console.print(str(error.log), markup=False)


def _print_cause(console: Console, error: R4LError) -> None:
    console.print(f"[bold red]{error.category}:[/] ", end="")
    console.print(error.cause, markup=False, style="bold")
    if error.remedy:
        console.print("[green]remedy:[/] ", end="")
        console.print(as_called(error.remedy), markup=False)


def _print_detail(console: Console, error: R4LError) -> None:
    if error.detail:
        # A compiler's text may be coloured.
        console.print(Text.from_ansi(only_colours(error.detail)), style="dim" if error.category != "build" else None)
        console.print()


def main() -> None:
    """Run the program and exit with its code."""
    fill_closed()
    show_what_can_be_shown()
    # `r4l clean` of another checkout must not remove the libraries of this process.
    inuse.hold_environment()
    # `kill` must end the children as Ctrl-C does, also in the background, where a shell has SIGINT ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked: dict[str, bool] = {}
    code = _run(asked)
    lost = flush_stdout()
    if lost and not isinstance(lost, BrokenPipeError):
        code = code or _failed(output_fault(lost), asked)
    flush_or_drop(sys.stderr)
    sys.exit(code)


def _run(asked: dict[str, bool]) -> int:
    """Run the command that was typed and return its exit code.

    Args:
        asked: receives the options that matter for showing an error (`r4l.cli.json_option`).
    """
    try:
        code = cli.main(prog_name="r4l", standalone_mode=False, obj=asked)
    except SystemExit as end:
        code = end.code
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _interrupted()
    except click.ClickException as error:
        code = _misused(error, asked)
    except ReaderGone:
        code = 0
    except Exception as error:  # noqa: BLE001 (whatever it is, it is shown)
        code = _failed(error, asked)
    return code if isinstance(code, int) else 0


def _misused(error: click.ClickException, asked: dict[str, bool]) -> int:
    """Show what is wrong with the arguments, and return the exit code."""
    context = getattr(error, "ctx", None) or context_of(cli, sys.argv[1:])
    if ASKED in asked or asks_for_json(context, sys.argv[1:]):
        remedy = f"see `{context.command_path} --help`"
        return _tell(UsageError(" ".join(error.format_message().split()), remedy), as_json=True)
    # An argument that it repeats may be a stranger's file name.
    said = io.StringIO()
    error.show(said)
    with suppress(OSError):
        Console(stderr=True, highlight=False, soft_wrap=True).print(said.getvalue(), end="", markup=False)
    return error.exit_code


def _failed(error: Exception, asked: Collection[str] = ()) -> int:
    """Show an error and return its exit code."""
    known = error if isinstance(error, R4LError) else fault_of(error)
    if known is not None:
        return _tell(known, as_json=ASKED in asked)
    # Imported here, not above: that saves every command 20 ms of a processor.
    from rich.traceback import Traceback

    with suppress(OSError):
        Console(stderr=True).print(Traceback.from_exception(type(error), error, error.__traceback__))
        click.echo("this is a bug in r4l; the lines above say where", err=True)
    return R4LError.exit_code


def _tell(error: R4LError, *, as_json: bool) -> int:
    """Show an error as far as stdout and stderr take it, and return its exit code."""
    try:
        show(error, as_json=as_json)
    except OSError:
        # stdout may be the file that cannot be written, and stderr as well.
        with suppress(OSError):
            show(error)
    return error.exit_code


def _interrupted() -> int:
    end_all()
    with suppress(OSError):
        click.echo("interrupted; the next run continues from here" if Stages.begun else "interrupted", err=True)
    return 130
