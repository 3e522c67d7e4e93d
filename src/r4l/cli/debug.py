# SPDX-License-Identifier: MIT
"""`r4l debug`."""

from __future__ import annotations

from pathlib import Path

import click

from r4l.cli import editor_files
from r4l.cli.commands import GuestCommand
from r4l.cli.options import MachineOptions, config_option, kernel_option, machine_options, timeout_option
from r4l.cli.screen import show_warnings
from r4l.cli.session import end
from r4l.debug import functions
from r4l.debug.plan import require_debuggable
from r4l.debug.session import Session
from r4l.errors import R4LError, UsageError, VerdictError
from r4l.module import Module
from r4l.module.parameters import parameters_of
from r4l.setup import set_up
from r4l.stages import Stages

EPILOG = """\b
Examples:
  r4l debug my_driver                            stop before its init runs
  r4l debug my_driver --break Nic::open -- ip link set eth0 up
  r4l debug my_driver --break Nic::open --batch --command bt --command 'info locals' -- ip link set eth0 up
"""


@click.command(cls=GuestCommand, epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("guest_command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--break", "-b", "breaks", multiple=True, metavar="FUNCTION", help="Stop there; may be repeated.")
@click.option("--command", "-x", "commands", multiple=True, metavar="GDBCMD", help="Run in gdb at the first stop.")
@click.option("--batch", is_flag=True, help="End gdb after the commands, for scripts and CI.")
@timeout_option("Seconds that a batch may take; 0 for no limit.")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Module parameter; may be repeated.")
@config_option
@machine_options
@kernel_option
def command(
    folder: Path,
    guest_command: tuple[str, ...],
    breaks: tuple[str, ...],
    commands: tuple[str, ...],
    batch: bool,
    timeout: float,
    machine: MachineOptions,
    param: tuple[str, ...],
    config: dict[str, str],
    kernel_name: str | None,
    arch: str,
) -> None:
    """Load a module in a fresh virtual machine with gdb attached.

    FUNCTION is written as in the source: `Nic::open`, `main.rs:20`. Without --break, gdb stops before the module's init
    runs. COMMAND is run in the guest once the module is loaded. The machine ends with gdb; if its kernel complained,
    the exit code is 123.
    """
    parameters = parameters_of(param)
    module = Module(folder, config)
    module.require_kbuild()
    if machine.image:
        raise UsageError("debugging starts from the small guest", "leave out --image")
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        require_debuggable(kernel)
        with stages.stage("gdb") as say:
            tools = kernel.toolchain.extended("debugger", say=say)
        with stages.stage(f"building {module.folder.name}") as say:
            built = module.build_all(kernel, say=say)
        editor_files.follow(module, kernel, stages)
        files = [ko.path for ko in built]
        places = [place for wanted in breaks for place in functions.places(wanted, files, tools)]
        vm = machine.start(kernel, stages)
    show_warnings(ko.warnings for ko in built)
    trouble: R4LError | None = None
    try:
        session = Session(vm, built, tools, [module.folder.parent], parameters, guest_command)
        code = session.run(places, commands, batch=batch, timeout=timeout or None)
        if batch and code:
            trouble = VerdictError(f"gdb ended with exit code {code}", "see gdb's messages above")
    except R4LError as error:
        trouble = error
    except BaseException:
        vm.close()
        raise
    raise SystemExit(end(vm, 0, trouble))
