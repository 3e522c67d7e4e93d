# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click

from r4l.kernel import Kernel
from r4l.kernel.architecture import architectures
from r4l.net import Nic
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

    def vm(self, kernel: Kernel) -> VM:
        """The machine, not yet started."""
        return VM(
            kernel,
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
        names = [field.name for field in dataclasses.fields(MachineOptions)]
        machine = MachineOptions(**{name: values.pop(name) for name in names})
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
    )
    result: Any = gathered
    for option in reversed(options):
        result = option(result)
    return cast(F, result)
