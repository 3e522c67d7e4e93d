# SPDX-License-Identifier: MIT
"""Whether an error is an answer about the guest, or the host has kept anybody from asking.

The host's: no space, no memory, QEMU killed or refused, and a time-out while the host gave the machine too little of
its processors. What a guest does to itself, however much it writes or hangs, is the guest's.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import EnvironmentFault, GuestTimeout
from r4l.vm.errors import NoAgent, NoOutput, QemuDied
from r4l.vm.live import LiveVM

NO_MEANS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Numbers of errors that say what the host lacks: space, memory, descriptors."""
STARVED = 0.75
"""Part of the time that a thread was ready to run and had no processor, from which a machine is starved: it then runs
at a quarter of its speed or less. Two guests that are busy on a host of two processors wait for half of the time."""
LOOK = 0.5
"""Seconds for which a machine that lived long is looked at."""
TIMED_OUT = "Timeout (>"
"""How the error of pytest-timeout begins."""


def host_fault(error: BaseException, vm: LiveVM | None = None) -> str:
    """Why nobody can judge because of the host; empty where the error is an answer about the guest.

    Args:
        vm: the machine that was looked at, for a time-out's reason.
    """
    links: list[BaseException] = [error]
    while (cause := links[-1].__cause__) is not None and cause not in links:
        links.append(cause)
    for one in links:
        if isinstance(one, EnvironmentFault | QemuDied):
            return one.cause
        if isinstance(one, MemoryError):
            return "this machine has no memory left"
        if isinstance(one, OSError) and one.errno in NO_MEANS:
            return str(one)
        if isinstance(one, NoOutput | NoAgent) and one.starved:
            return f"{one.cause}; {one.starved}"
    late = isinstance(error, GuestTimeout) or str(error).startswith(TIMED_OUT)
    # One that floods us keeps itself from its answer, however busy the host.
    why = starved(vm.pid, vm.begun) if late and vm is not None and vm.running and not vm.floods else ""
    return f"a time-out, and {why}" if why else ""


def starved(pid: int, begun: float) -> str:
    """How far the host kept a machine from its processors, in words; empty where it did not.

    Args:
        pid: the sandbox's or QEMU's.
        begun: when it was started, by the monotonic clock.
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


def _waits(pid: int) -> Iterator[tuple[Path, float]]:
    """Seconds that each thread of a process and its children was ready and had no processor.

    The second number of /proc/PID/task/TID/schedstat (proc(5); Documentation/scheduler/sched-stats.rst), where the
    kernel keeps it.
    """
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            yield task, int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
            children = (task / "children").read_text(encoding="ascii").split()
        except (OSError, ValueError, IndexError):
            # It has ended, or the kernel keeps no account.
            continue
        for child in children:
            yield from _waits(int(child))
