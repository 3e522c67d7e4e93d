# SPDX-License-Identifier: MIT
"""Two drivers measured in turn, run by run, so that nothing of the host falls on one of them alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from r4l.bench.machine import machine, run
from r4l.bench.workloads import Workload, differences
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.process import Say


@dataclass(frozen=True)
class Subject:
    """A driver under measurement.

    Attributes:
        name: its name in the table, which no other subject has.
        module: its module, with the modules that it needs.
        parameters: of the module.
    """

    name: str
    module: BuiltModule
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    """The figures of one driver.

    Attributes:
        counted: for each workload by its name, a figure for each run, on the machine that counts instructions.
        timed: likewise on a machine whose clock is the host's.
    """

    counted: dict[str, list[float]] = field(default_factory=dict)
    timed: dict[str, list[float]] = field(default_factory=dict)

    def median(self, workload: str) -> float:
        """Return the median of the counted figures of a workload."""
        return statistics.median(self.counted[workload])

    def spread(self, workload: str) -> float:
        """Return the distance of the largest counted figure from the smallest, as a part of the median."""
        figures = self.counted[workload]
        return (max(figures) - min(figures)) / statistics.median(figures)

    @property
    def differences(self) -> dict[str, float]:
        """Rows made of two workloads: instructions per unit of work, by name."""
        return differences({name: self.median(name) for name in self.counted})


def measured(
    kernel: Kernel,
    subjects: Sequence[Subject],
    workloads: Sequence[Workload],
    *,
    runs: int,
    timed: bool,
    nic_model: str,
    with_modules: Sequence[str] = (),
    timeout: float | None,
    say: Say,
) -> dict[str, Figures]:
    """Measure the drivers in turn, each run in a machine restored from the state after the driver's load.

    Args:
        kernel: kernel of the guest.
        subjects: the drivers.
        workloads: the measurements.
        runs: number of runs of each workload on the machine that counts instructions.
        timed: True to run each workload once on a machine with the host's clock too.
        nic_model: QEMU's name of the card.
        with_modules: names of the kernel's own modules that a script loads with modprobe.
        timeout: the host's seconds for one workload; None for no limit.
        say: receives each step.

    Returns:
        The figures of each driver by its name.

    Raises:
        VerdictError: a workload failed, or the kernel complained.
        GuestTimeout: a workload did not end.
    """
    found = {subject.name: Figures() for subject in subjects}
    for number, icount in _rounds(runs, timed):
        for subject in subjects:
            kept = found[subject.name].counted if icount else found[subject.name].timed
            for workload in workloads:
                turn = f"run {number + 1} of {runs}" if icount else "by the clock"
                say(f"{subject.name}: {workload.name}, {turn}")
                vm = machine(
                    kernel,
                    subject.module,
                    nic_model,
                    parameters=subject.parameters,
                    with_modules=with_modules,
                    network=workload.network,
                    icount=icount,
                )
                with vm:
                    kept.setdefault(workload.name, []).append(workload.figure(run(vm, workload, timeout)))
    return found


def _rounds(runs: int, timed: bool) -> Iterator[tuple[int, bool]]:
    """Yield the rounds as number and icount."""
    yield from ((number, True) for number in range(runs))
    if timed:
        yield 0, False
