# SPDX-License-Identifier: MIT
"""Attribute an error to the host or to the guest.

Faults of the host: no disk space, no memory, QEMU killed from outside or refused, a time-out while the host gave the
machine too little processor time. Floods, hangs and crashes of QEMU that a guest causes are the guest's. A breakpoint
that an emulated processor may have run into by QEMU's fault is told by the guest's words only, so it excuses nothing:
it is a reason to try again, with one processor.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import NO_SPACE, EnvironmentFault, R4LError
from r4l.shortage import STARVED, memory_is_scarce, tasks
from r4l.vm.errors import QemuDied
from r4l.vm.live import LiveVM

NO_MEANS = NO_SPACE | {errno.ENOMEM, errno.EMFILE, errno.ENFILE}
"""Error numbers for missing resources of the host: space, memory, descriptors."""
LOOK = 0.5
"""Seconds of observation for a machine that has run for long."""
TIMED_OUT = "Timeout (>"
"""Beginning of pytest-timeout's error message."""


def host_fault(error: BaseException, vm: LiveVM | None = None) -> str:
    """Return the host's fault that prevents a verdict; empty if the error is a result about the guest.

    Args:
        vm: the machine, needed for the reason of a time-out.
    """
    links: list[BaseException] = [error]
    while (cause := links[-1].__cause__) is not None and cause not in links:
        links.append(cause)
    for one in links:
        if isinstance(one, EnvironmentFault) or (isinstance(one, QemuDied) and not one.crashed):
            return one.cause
        if isinstance(one, MemoryError) and memory_is_scarce():
            return "this machine has no memory left"
        if isinstance(one, OSError) and one.errno in NO_MEANS:
            return str(one)
        if isinstance(one, R4LError) and one.starved:
            return f"{one.cause}; {one.starved}"
    late = any(isinstance(one, R4LError) and one.late for one in links) or str(error).startswith(TIMED_OUT)
    # A guest that floods the host causes its own delay, however busy the host is.
    why = starved(vm.pid, vm.begun) if late and vm is not None and vm.running and not vm.floods else ""
    return f"a time-out, and {why}" if why else ""


def stray_breakpoint(vm: LiveVM) -> str:
    """Describe a breakpoint of the kernel's own patching that an emulated processor may have run into; empty if none
    did.

    `Splat.stray_breakpoint` says how that happens. One in a module is the module's: only the kernel's own code is
    patched while others run it. A driver can print the same words, or run into a breakpoint at will, so the machine's
    work has to be done again with one processor, where QEMU does not have the fault, and that counts.
    """
    if not vm.begun or vm.machine.accel != "tcg" or vm.machine.cpus < 2:
        return ""
    strays = (one for one in vm.klog.complaints() if one.stray_breakpoint)
    stray = next((one for one in strays if one.place is None or one.place.module is None), None)
    if stray is None:
        return ""
    return f"QEMU's emulated processors can run into a breakpoint that the kernel has removed: {stray.headline}"


def starved(pid: int, begun: float) -> str:
    """Describe how far the host kept a machine from its processors; empty if it did not.

    Args:
        pid: of the sandbox or of QEMU.
        begun: start of the machine, by the monotonic clock.
    """
    life = time.monotonic() - begun
    before = dict(_waits(pid))
    worst, span = max(before.values(), default=0.0), life
    if life > LOOK and worst < STARVED * life:
        time.sleep(LOOK)
        worst = max((waited - before.get(task, waited) for task, waited in _waits(pid)), default=0.0)
        span = LOOK
    if worst < STARVED * span or span <= 0:
        return ""
    return (
        f"this machine is too busy: for {worst:.1f} of {span:.1f} s the guest's processor waited for one of the host's"
    )


LEAST_RUN = 0.1
"""Share of the wall clock at which a machine's clock runs at least, so that each time-out comes at last."""


class RunTime:
    """A clock that stands while the host keeps a machine from its processors: the wall clock less the time in which the
    machine's threads were ready without a processor.

    Args:
        pid: of the sandbox or of QEMU.
        ours: count the threads of this process, too, which answer for devices in Python while the guest waits.
    """

    def __init__(self, pid: int, *, ours: bool = False) -> None:
        self._pid, self._ours = pid, ours
        self._before = dict(self._tasks())
        self._begun = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the clock was made; it advances by a tenth of the wall clock at least."""
        wall = time.monotonic() - self._begun
        return max(wall - sum(self._delays()), LEAST_RUN * wall)

    def longest_delay(self) -> float:
        """Return the seconds without a processor of the thread that has waited for the longest time."""
        return max(self._delays(), default=0.0)

    def _delays(self) -> Iterator[float]:
        return (waited - self._before.get(task, 0.0) for task, waited in self._tasks())

    def _tasks(self) -> Iterator[tuple[Path, float]]:
        yield from _waits(self._pid)
        if self._ours:
            # Without its children, among which are all machines.
            yield from ((task, waited) for task, _, waited in tasks(os.getpid()))


def _waits(pid: int) -> Iterator[tuple[Path, float]]:
    """Yield the seconds that each thread of a process and its children was ready without a processor."""
    for task, _, waited in tasks(pid):
        yield task, waited
        try:
            children = (task / "children").read_text(encoding="ascii").split()
        except OSError:
            # The thread has ended.
            continue
        for child in children:
            yield from _waits(int(child))
