# SPDX-License-Identifier: MIT
"""A VM that runs, as the files see it that `VM` is made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from r4l.guest import Completed
from r4l.kernel import Kernel
from r4l.klog import KernelLog, Sources


class Processors(Protocol):
    """The attributes of `r4l.vm.machine.Machine` that the question of blame needs."""

    @property
    def accel(self) -> str:
        """Accelerator."""

    @property
    def cpus(self) -> int:
        """Number of processors."""


class LiveVM(Protocol):
    """The attributes of `r4l.VM` that loading, snapshots and the question of blame need; `VM` documents them."""

    kernel: Kernel
    klog: KernelLog
    sources: Sources
    workdir: Path
    begun: float
    needed: set[str]
    """Names of modules that `insmod` loaded only because another needs them."""

    @property
    def machine(self) -> Processors:
        """The machine as QEMU has it."""

    @property
    def running(self) -> bool:
        """True while QEMU runs."""

    @property
    def pid(self) -> int:
        """Process id of QEMU."""

    @property
    def floods(self) -> list[str]:
        """Data of this run that was cut because the guest wrote too much, a clause each."""

    def run(self, command: str | Sequence[str], *, timeout: float | None = 60.0, check: bool = False) -> Completed:
        """Run a command in the guest."""

    def put(self, source: Path | str | bytes, target: str, mode: int | None = None) -> None:
        """Write a file of the guest."""

    def qmp(self, command: str, **arguments: object) -> Any:
        """Run a QMP command."""
