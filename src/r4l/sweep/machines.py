# SPDX-License-Identifier: MIT
"""The machines in which a driver lives, used again while nothing is left in them, and searched for lost memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from r4l.errors import R4LError
from r4l.module import BuiltModule
from r4l.pci import Device
from r4l.sweep.cells import NO_MEMORY, SweepCell
from r4l.sweep.life import Life, MemorySearch, cpu_seconds, file_of, live
from r4l.sweep.subject import Ready
from r4l.testing import Leaks
from r4l.testing.leaks import lost_objects
from r4l.vm import VM

LOG = logging.getLogger(__name__)


def machine(ready: Ready, cpus: int | None = None) -> VM:
    """Return the machine of a cell, not started: booted once, kept with the modules' files in it, and restored.

    Args:
        ready: the driver and its device.
        cpus: virtual CPUs; None for the user's number.
    """
    subject, wanted = ready.subject, ready.subject.machine
    loads = [ready.parameters(module) for module in ready.modules[:-1]]
    return VM(
        ready.kernel,
        memory=wanted.memory,
        cpus=cpus or wanted.cpus,
        append=wanted.append,
        devices=[ready.model],
        modules=(*subject.depends, *wanted.modules),
        snapshot=True,
        prepare=partial(_prepared, subject.depends, loads),
        prepare_with=ready.modules,
    )


def _prepared(depends: Sequence[str], loads: Sequence[Mapping[str, str]], vm: VM, *modules: BuiltModule) -> None:
    """Load all modules that the driver needs, and put the driver's file where the phases expect it.

    Args:
        depends: the kernel's own.
        loads: parameters of each of the others.
        vm: the machine.
        modules: the others, and the driver as the last.
    """
    for name in depends:
        vm.run(["modprobe", name], check=True)
    for module, parameters in zip(modules, loads, strict=False):
        vm.insmod(module, **parameters)
    vm.put(modules[-1].path, file_of(modules[-1]), 0o644)


@dataclass
class _Used:
    """A machine that may be used again.

    Attributes:
        vm: the machine.
        leaks: its leak check.
        lives: number of lives in it.
        search: the search for lost memory, for all of them.
        over: the last of them that has ended.
    """

    vm: VM
    leaks: Leaks
    lives: int = 1
    search: MemorySearch = field(default_factory=MemorySearch)
    over: Life | None = None

    def end(self) -> None:
        """End the machine, and before that search for lost memory if lives wait for it and the guest can answer."""
        try:
            last = self.over
            if self.search.begun and last and not (last.hang or last.fault or last.splats):
                begun, cpu = time.monotonic(), cpu_seconds(self.vm.pid)
                self.search.lost = lost_objects(self.leaks.unreferenced())
                self.search.seconds, self.search.cpu = time.monotonic() - begun, cpu_seconds(self.vm.pid) - cpu
        except R4LError as error:
            # The lives' cells are judged again, each alone.
            LOG.info("no search for lost memory: %s", error.cause)
        finally:
            self.vm.close()


class Machines:
    """Machines in which a driver lives. A context manager, which ends the last one.

    A machine is used again as long as nothing is left of the lives in it (`Life.leaves_nothing`): its device is
    unplugged, and a new one plugged in. The guest's code is translated by then, which is half of the cost of a life.
    Lives with failing allocations have machines of their own: the n-th allocation is another one where others have been
    made before, and the module by which they fail stays loaded.

    After a life in which QEMU may have kept a breakpoint, the next one, in which such a cell is run again, has one
    processor, with which QEMU does not.

    Lost memory is searched for when the machine ends, once for all lives in it (`Life.search`), unless a machine is for
    one life only.

    Args:
        ready: the driver and its device.
        most: number of lives in one machine.
    """

    def __init__(self, ready: Ready, most: int = 1) -> None:
        self._ready = ready
        self._most = most
        self._used: _Used | None = None
        self._cpus: int | None = None
        """Virtual CPUs of the next new machine; None for the user's number."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self._used:
            # Nobody waits for its lives' verdicts.
            self._used.search = MemorySearch()
        self.renew()

    def live(self, cell: SweepCell | None, *, count_memory: bool = False, limits: Mapping[str, float]) -> Life:
        """Have the driver live through all phases twice, the first time with the fault of a cell.

        Args:
            cell: the fault; None for none.
            count_memory: True to count the driver's allocations.
            limits: as of `Life`.
        """
        life = Life(limits=limits, module=self._ready.modules[-1].name)
        begun, before = time.monotonic(), time.process_time()
        with_memory = count_memory or (cell is not None and cell.fault.kind == NO_MEMORY)
        try:
            used, device, cpu = self._machine(with_memory, life)
        except R4LError as error:
            # A machine that does not come up says nothing about the driver.
            life.fault = error.cause
            return life
        alone = with_memory or self._most == 1
        if not alone:
            life.search = used.search
        try:
            live(used.vm, device, used.leaks, self._ready, cell, life, with_memory=with_memory, alone=alone)
        finally:
            used.over = life
            life.cpu = cpu_seconds(used.vm.pid) - cpu + time.process_time() - before
            life.seconds = time.monotonic() - begun
            if alone or used.lives >= self._most or not life.leaves_nothing or self._cpus:
                self.renew()
            self._cpus = 1 if life.stray else None
        return life

    def renew(self) -> None:
        """End the machine: the next life has a new one."""
        used, self._used = self._used, None
        if used:
            used.end()

    def _machine(self, with_memory: bool, life: Life) -> tuple[_Used, Device, float]:
        """Return a machine, the new device in it, and the processor seconds that the machine has used before."""
        if self._used and not with_memory:
            used = self._used
            cpu = cpu_seconds(used.vm.pid)
            device = self._ready.model()
            try:
                used.vm.unplug(used.vm.devices[-1])
                used.vm.plug(device)
            except R4LError:
                # The guest does not release the old device, or does not notice the new one.
                self.renew()
            else:
                life.earlier = used.lives
                used.lives += 1
                return used, device, cpu
        self.renew()
        vm = machine(self._ready, self._cpus).start()
        try:
            self._used = _Used(vm, Leaks(vm))
        except BaseException:
            vm.close()
            raise
        return self._used, vm.devices[-1], 0.0
