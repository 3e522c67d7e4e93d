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
from r4l.net import Nic
from r4l.vm import VM

F = TypeVar("F", bound=Callable[..., Any])


def kernel_option(function: F) -> F:
    """`--kernel RELEASE`, given to the command as `release`."""
    return click.option(
        "--kernel", "release", metavar="RELEASE", help="A Debian kernel by its `uname -r`; the one set up by default."
    )(function)


@dataclass(frozen=True)
class MachineOptions:
    """What the user wants of the virtual machine."""

    nics: int
    nic_model: str
    with_module: tuple[str, ...]
    memory: int
    cpus: int
    append: str

    def vm(self, kernel: Kernel) -> VM:
        """The machine, not yet started."""
        return VM(
            kernel,
            nics=[Nic(self.nic_model) for _ in range(self.nics)],
            memory=self.memory,
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
        click.option("--memory", default=256, show_default=True, help="Memory of the guest in MiB."),
        click.option("--cpus", default=2, show_default=True, help="Virtual CPUs."),
        click.option("--append", default="", help="Added to the kernel command line."),
    )
    result: Any = gathered
    for option in reversed(options):
        result = option(result)
    return cast(F, result)
