# SPDX-License-Identifier: MIT
"""Shortages of the host: disk space, memory, processor time.

They are told by the host's own facts, never by a program's words alone: a stranger's Makefile can print any.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from r4l.errors import NO_SPACE

ROOM = 64 << 20
"""Bytes that a disk must have room for. With less, a build may have failed for lack of space, and removed files
since."""
SCARCE = 512 << 20
"""Bytes of available memory, below which a refused allocation may be the machine's fault."""
STARVED = 0.75
"""Share of time that a thread was ready without a processor, above which it is starved: it then runs at a quarter of
its speed or less. Two busy guests on a host of two processors wait for half of the time."""
WANTED = 0.25
"""Share of the wall clock for which starved programs wanted a processor at least; others slept."""
DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
"""Words of programs on a full disk."""
KILLED = re.compile(r"\bKilled\b|SIGKILL|\bsignal:? 9\b|\bError 137\b")
"""Words of make, shells and compilers whose program was killed."""


def full_disk(folders: Iterable[Path]) -> Path | None:
    """Return the first of some folders whose disk has no room for `ROOM` bytes or another file; None if all have.

    The room is tried: no number of statvfs(3) tells quotas.
    """
    tried: set[int] = set()
    for folder in folders:
        place = folder if folder.is_dir() else folder.parent
        try:
            device = place.stat().st_dev
            if device in tried:
                continue
            tried.add(device)
            with tempfile.TemporaryFile(dir=place) as file:
                os.posix_fallocate(file.fileno(), 0, ROOM)
        except OSError as error:
            if error.errno in NO_SPACE:
                return place
    return None


def oom_kills() -> int:
    """Return the number of processes that the kernel has ended for lack of memory since its start, in memory control
    groups too (`oom_kill` of /proc/vmstat, proc(5)); 0 on kernels that do not count them."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    except (OSError, ValueError):
        pass
    return 0


def memory_is_scarce() -> bool:
    """True if this machine may refuse memory to this process: little is available, or a limit on address space holds.

    Otherwise Linux refuses only what exceeds the whole machine (Documentation/mm/overcommit-accounting.rst): a size
    that a guest's number has led to.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return True
    try:
        if Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip() == "2":
            return True
        rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(rows["MemAvailable"].split()[0]) << 10 < SCARCE
    except (OSError, ValueError, KeyError):
        return True


def tasks(pid: int) -> Iterator[tuple[Path, float, float]]:
    """Yield the threads of a process, each with the seconds that it ran and that it was ready without a processor.

    The source is /proc/PID/task/TID/schedstat (proc(5); Documentation/scheduler/sched-stats.rst), on kernels that have
    it.
    """
    with contextlib.suppress(OSError):  # The process has ended.
        for entry in os.scandir(f"/proc/{pid}/task"):
            task = Path(entry.path)
            with contextlib.suppress(OSError, ValueError):  # The thread has ended, or the kernel has no statistics.
                ran, waited, *_ = (task / "schedstat").read_text(encoding="ascii").split()
                yield task, int(ran) / 1e9, int(waited) / 1e9


class ProcessorTime:
    """Time that a program's threads ran, and that they were ready without a processor, from several looks at them.

    Threads that gave themselves a lower priority than the host gave them are left out: they wait by their own choice.

    Attributes:
        ran, waited: seconds of all threads together, as far as they were seen.
    """

    def __init__(self) -> None:
        self.ran = self.waited = 0.0
        self._last: dict[Path, tuple[float, float]] = {}
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)

    def look(self, family: Iterable[int]) -> None:
        """Add the time since the last look.

        Args:
            family: the program's processes.
        """
        now = {task: (ran, waited) for pid in family for task, ran, waited in tasks(pid) if self._is_equal(task)}
        for task, (ran, waited) in now.items():
            ran_before, waited_before = self._last.get(task, (0.0, 0.0))
            # A number may have been given to a new thread.
            if ran < ran_before:
                ran_before = waited_before = 0.0
            self.ran += ran - ran_before
            self.waited += waited - waited_before
        self._last = now

    def _is_equal(self, task: Path) -> bool:
        number = int(task.name)
        try:
            return (
                os.getpriority(os.PRIO_PROCESS, number) <= self._nice and os.sched_getscheduler(number) != os.SCHED_IDLE
            )
        except OSError:
            return False

    def starved(self, seconds: float) -> str:
        """Describe how far the host kept the program from its processors; empty if it did not.

        A program that keeps all processors busy itself, with any number of threads, had them.

        Args:
            seconds: the program's life.
        """
        wanted = self.ran + self.waited
        if wanted < WANTED * seconds or self.waited < STARVED * wanted or self.ran > (1 - STARVED) * seconds:
            return ""
        return (
            f"this machine is too busy: in {seconds:.0f} s the programs had a processor for {self.ran:.0f} s, and "
            f"waited for one for {self.waited:.0f} s"
        )


class OwnWaits:
    """Waits of this process's threads for a processor while something takes long, from looks in between.

    A thread that is older waited before, too: only a look from before that something began tells the two apart.
    """

    def __init__(self) -> None:
        self._before = self._now()
        self._last = time.monotonic(), self._before

    def look(self, begun: float | None) -> None:
        """Look at the threads.

        Args:
            begun: start of what takes long (`time.monotonic()`); None if nothing is under way.
        """
        when, waits = self._last
        if begun is None or begun > when:
            self._before = waits
        self._last = time.monotonic(), self._now()

    def starved(self, seconds: float) -> str:
        """Describe how far the host kept this process from its processors; empty if it did not.

        Args:
            seconds: duration of what took long.
        """
        worst = max((waited - self._before.get(task, 0.0) for task, waited in self._now().items()), default=0.0)
        if worst < STARVED * seconds:
            return ""
        return f"this machine is too busy: r4l waited for a processor for {worst:.1f} s"

    @staticmethod
    def _now() -> dict[Path, float]:
        return {task: waited for task, _, waited in tasks(os.getpid())}
