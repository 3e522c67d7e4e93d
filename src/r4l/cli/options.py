# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.kernel.architecture import architectures
from r4l.net import Nic
from r4l.rootfs.disk import DiskImage, names
from r4l.rootfs.first_stage import require_fit
from r4l.stages import Stages
from r4l.vm import VM

F = TypeVar("F", bound=Callable[..., Any])


def kernel_option(function: F) -> F:
    """`--kernel NAME` and `--arch`, given to the command as `kernel_name` and `arch`."""
    name = click.option(
        "--kernel",
        "kernel_name",
        metavar="NAME",
        help="stock (the default), minimal, debug, samples or another profile, one that was built under a NAME, a "
        "release of Debian's, or the PATH of a build folder.",
    )
    arch = click.option(
        "--arch",
        type=click.Choice(list(architectures())),
        default="x86_64",
        show_default=True,
        help="The guest's architecture.",
    )
    return name(arch(function))


@dataclass(frozen=True)
class MachineOptions:
    """What the user wants of the virtual machine."""

    nics: int
    nic_model: str
    with_module: tuple[str, ...]
    memory: int | None
    snapshot: bool | None
    cpus: int
    append: str
    image: str | None
    ssh_port: int

    def vm(self, kernel: Kernel, stages: Stages) -> VM:
        """The machine, not yet started; its disk image made first where there is none."""
        image = None
        if self.image:
            # Before the image is made, which takes a minute.
            require_fit(kernel, self.image)
            with stages.stage(f"{self.image} image") as say:
                image = DiskImage.get(self.image, kernel.toolchain, say)
        elif self.ssh_port:
            raise UsageError("there is no sshd in the small guest", "give --image debian too")
        return VM(
            kernel,
            image=image,
            ssh_port=self.ssh_port,
            nics=[Nic(self.nic_model) for _ in range(self.nics)],
            memory=self.memory,
            snapshot=self.snapshot,
            cpus=self.cpus,
            append=self.append,
            modules=self.with_module,
        )


def machine_options(function: F) -> F:
    """The options of a virtual machine, given to the command together as `machine`."""

    @functools.wraps(function)
    def gathered(**values: Any) -> Any:
        fields = [field.name for field in dataclasses.fields(MachineOptions)]
        machine = MachineOptions(**{name: values.pop(name) for name in fields})
        return function(machine=machine, **values)

    options = (
        click.option("--nics", type=click.IntRange(0, 8), default=1, show_default=True, help="How many network cards."),
        click.option("--nic-model", default="e1000", show_default=True, help="QEMU's name of the card."),
        click.option(
            "--with-module", multiple=True, metavar="NAME", help="A module of the kernel's own to have for modprobe."
        ),
        click.option("--memory", type=int, help="Memory of the guest in MiB; enough for its kernel by default."),
        click.option(
            "--snapshot/--no-snapshot",
            default=None,
            help="Boot once and start from there from then on; the default for kernels that boot slowly.",
        ),
        click.option("--cpus", default=2, show_default=True, help="Virtual CPUs."),
        click.option("--append", default="", help="Added to the kernel command line."),
        click.option(
            "--image",
            type=click.Choice(names()),
            help="Start from a disk image with systemd and sshd instead of the small guest; made once, by mmdebstrap.",
        ),
        click.option(
            "--ssh-port",
            type=click.IntRange(0, 65535),
            default=0,
            help="Port on 127.0.0.1 for ssh into the image; by default one that is free.",
        ),
    )
    result: Any = gathered
    for option in reversed(options):
        result = option(result)
    return cast(F, result)


def show_door(vm: VM) -> None:
    """Tell the user how to come in by ssh, where there is an sshd."""
    if vm.image:
        click.echo(f"ssh:  {vm.ssh.line}\nscp:  scp -F {vm.ssh.config} FILE guest:", err=True)
