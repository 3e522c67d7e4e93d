# SPDX-License-Identifier: MIT
"""`r4l shell`."""

from __future__ import annotations

import click

from r4l import kept
from r4l.cli import session
from r4l.cli.commands import ProjectCommand
from r4l.cli.kept import complete_name
from r4l.cli.kept import join as enter
from r4l.cli.options import MachineOptions, kernel_option, machine_options, show_door
from r4l.errors import R4LError
from r4l.guest.shell import require_terminal
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm.snapshot import AS_BOOTED

ONLY = ""
"""Value of `--join` without a name."""


@click.command(cls=ProjectCommand, epilog="Example: r4l shell --with-module e1000    (then: modprobe e1000)")
@click.option(
    "--join",
    is_flag=False,
    flag_value=ONLY,
    metavar="[VM]",
    shell_complete=complete_name,
    help="Use a machine that `r4l run --keep` has left running, by its name if there are several.",
)
@machine_options
@kernel_option
def command(join: str | None, machine: MachineOptions, kernel_name: str | None, arch: str) -> None:
    """Open a shell in a fresh virtual machine, without any module of yours.

    The machine ends with the shell. The exit code is the shell's; if that is 0 and the kernel complained, it is 123.
    """
    require_terminal()
    if join is not None:
        raise SystemExit(enter(kept.find(None if join == ONLY else join)))
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        vm = machine.start(kernel, stages, AS_BOOTED)
    trouble: R4LError | None = None
    code = 0
    try:
        show_door(vm)
        code = vm.shell()
    except R4LError as error:
        trouble = error
    except BaseException:
        vm.close()
        raise
    raise SystemExit(session.end(vm, code, trouble))
