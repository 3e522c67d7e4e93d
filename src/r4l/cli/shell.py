# SPDX-License-Identifier: MIT
"""`r4l shell`."""

from __future__ import annotations

import click

from r4l.cli.options import kernel_option
from r4l.net import Nic
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm import VM


@click.command(epilog="Example: r4l shell --with-module e1000    (then: modprobe e1000)")
@click.option("--nics", type=click.IntRange(0, 8), default=1, show_default=True, help="How many network cards.")
@click.option("--nic-model", default="e1000", show_default=True, help="QEMU's name of the card.")
@click.option("--with-module", multiple=True, metavar="NAME", help="A module of the kernel's own to have for modprobe.")
@click.option("--memory", default=256, show_default=True, help="Memory of the guest in MiB.")
@click.option("--cpus", default=2, show_default=True, help="Virtual CPUs.")
@click.option("--append", default="", help="Added to the kernel command line.")
@kernel_option
def command(
    nics: int, nic_model: str, with_module: tuple[str, ...], memory: int, cpus: int, append: str, release: str | None
) -> None:
    """A shell in a fresh virtual machine, without any module of yours.

    The machine is gone when the shell ends.
    """
    with Stages() as stages:
        kernel = set_up(stages, release)
        vm = VM(
            kernel,
            nics=[Nic(nic_model) for _ in range(nics)],
            memory=memory,
            cpus=cpus,
            append=append,
            modules=with_module,
        )
        with stages.stage("booting"):
            vm.start()
    with vm:
        raise SystemExit(vm.shell())
