# SPDX-License-Identifier: MIT
"""`r4l shell`."""

from __future__ import annotations

import click

from r4l.cli.options import MachineOptions, ProjectCommand, kernel_option, machine_options, show_door
from r4l.guest.shell import require_terminal
from r4l.setup import set_up
from r4l.stages import Stages


@click.command(cls=ProjectCommand, epilog="Example: r4l shell --with-module e1000    (then: modprobe e1000)")
@machine_options
@kernel_option
def command(machine: MachineOptions, kernel_name: str | None, arch: str) -> None:
    """A shell in a fresh virtual machine, without any module of yours.

    The machine is gone when the shell ends.
    """
    require_terminal()
    with Stages() as stages:
        kernel = set_up(stages, kernel_name, arch=arch)
        vm = machine.start(kernel, stages)
    try:
        show_door(vm)
        code = vm.shell()
    finally:
        vm.close()
    raise SystemExit(code)
