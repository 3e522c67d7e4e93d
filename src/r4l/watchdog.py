# SPDX-License-Identifier: MIT
"""Watch a running program, and end it when it exceeds its limits."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from r4l.limits import Limits

INTERVAL = 0.5
"""Least seconds between two checks."""
PART = 20
"""Bound on overhead: a check takes at most one part in `PART` of the time, however many processes the host has."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Watchdog:
    """Ends a program that exceeds its limits of time, memory or processes; a context manager around the run.

    Args:
        process: the program; its descendants count too.
        limits: its bounds.
        end: function that ends the program with its descendants.

    Attributes:
        exceeded: name of the exceeded limit in `Limits`, or None.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limits: Limits,
        end: Callable[[subprocess.Popen[bytes]], None],
    ) -> None:
        self.exceeded: str | None = None
        self._process = process
        self._limits = limits
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="r4l-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        if self._limits.watched:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._limits.watched:
            self._thread.join()

    def exceed(self, limit: str) -> None:
        """End the program because of a limit that the caller checked."""
        self.exceeded = self.exceeded or limit
        self._end(self._process)

    def _watch(self) -> None:
        begun = time.monotonic()
        pause = INTERVAL
        while not self._over.wait(self._until_next(begun, pause)):
            looked = time.monotonic()
            limit = self._limit_met(looked - begun)
            if limit:
                self.exceed(limit)
                return
            pause = max(INTERVAL, PART * (time.monotonic() - looked))

    def _until_next(self, begun: float, pause: float) -> float:
        if self._limits.seconds is None:
            return pause
        return max(0.0, min(pause, begun + self._limits.seconds - time.monotonic()))

    def _limit_met(self, seconds: float) -> str | None:
        if self._limits.seconds is not None and seconds >= self._limits.seconds:
            return "seconds"
        if self._limits.memory is None and self._limits.processes is None:
            return None
        family = descendants(self._process.pid)
        if self._limits.processes is not None and len(family) > self._limits.processes:
            return "processes"
        if self._limits.memory is not None and sum(map(memory_of, family)) > self._limits.memory:
            return "memory"
        return None


def descendants(pid: int) -> list[int]:
    """Return a process and its descendants, except those that were reparented."""
    tell = _children if Path(f"/proc/self/task/{os.getpid()}/children").exists() else _parents()
    found = [pid]
    for process in found:
        found += tell(process)
    return found


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process (proc_pid_tid_children(5)). Some kernels lack that file."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.scandir(f"/proc/{pid}/task"):
            found += map(int, Path(task.path, "children").read_bytes().split())
    return found


def _parents() -> Callable[[int], list[int]]:
    """Return a function like `_children`, built from the parent of every process; several times slower."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # proc_pid_stat(5): the name, in parentheses, may contain any character; state and parent follow it.
                words = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                children[int(words[1])].append(int(entry.name))
    return lambda pid: children[pid]


def memory_of(pid: int) -> int:
    """Return the bytes that a process holds without sharing them with a file (proc_pid_statm(5)); 0 if it has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * PAGE
