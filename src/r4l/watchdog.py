# SPDX-License-Identifier: MIT
"""Watch a running program, and end it when it exceeds its limits."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.limits import SCRATCH, Limits
from r4l.shortage import ProcessorTime
from r4l.threads import guarded

INTERVAL = 0.5
"""Least seconds between two checks."""
PART = 20
"""Bound on overhead: a check takes at most one part in `PART` of the time, however many processes the host has."""
ENTRY = 4096
"""Bytes that the smallest file counts for: a disk takes a limited number of files."""
CLOCK = 10_000_000
"""Nanoseconds by which the clock of a file system may be behind: it moves with the timer's interrupt."""
STATUS = re.compile(rb"^(RssAnon|RssShmem|VmPeak):\s+(\d+) kB$", re.MULTILINE)
PROPORTIONAL = re.compile(rb"^Pss_Shmem:\s+(\d+) kB$", re.MULTILINE)


class Watchdog:
    """Ends a program that exceeds its limits of time, memory, processes or disk; a context manager around the run.

    Args:
        process: the program; its descendants count too.
        limits: its bounds.
        end: function that ends the program with its descendants.
        folders: folders of the host that the program writes to.

    Attributes:
        exceeded: name of the exceeded limit in `Limits`, or None. Once it is `disk`, all files that the program wrote
            are removed.
        time: processor time of the program.
        peak: most bytes that the program was seen to hold.
        largest: most bytes of address space that one of its processes was seen to have.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limits: Limits,
        end: Callable[[subprocess.Popen[bytes]], None],
        folders: Sequence[Path] = (),
    ) -> None:
        self.exceeded: str | None = None
        self.time = ProcessorTime()
        self.peak = self.largest = 0
        self._process = process
        self._limits = limits
        self._end = end
        self._disk = _Disk(folders) if limits.disk is not None else None
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=guarded(self._watch, self._failed), name="r4l-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        if self._limits.watched:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if not self._limits.watched:
            return
        self._thread.join()
        if self._failure:
            raise self._failure
        if self._disk is None or self._limits.disk is None:
            return
        if not self.exceeded and self._disk.written() > self._limits.disk:
            self.exceeded = "disk"
        if self.exceeded == "disk":
            self._disk.remove()

    def exceed(self, limit: str) -> None:
        """End the program because of a limit that the caller checked."""
        self.exceeded = self.exceeded or limit
        self._end(self._process)

    @property
    def seconds(self) -> float:
        """Seconds since the program was started."""
        return time.monotonic() - self._begun

    def _failed(self, error: BaseException) -> None:
        # Nobody would notice what the program exceeds from here on.
        self._failure = error
        self._end(self._process)

    def _watch(self) -> None:
        pause = INTERVAL
        while not self._over.wait(self._until_next(pause)):
            looked = self.seconds
            limit = self._limit_met(looked)
            if limit:
                self.exceed(limit)
                return
            pause = max(INTERVAL, PART * (self.seconds - looked))

    def _until_next(self, pause: float) -> float:
        if self._limits.seconds is None:
            return pause
        return max(0.0, min(pause, self._limits.seconds - self.seconds))

    def _limit_met(self, seconds: float) -> str | None:
        limits = self._limits
        family = descendants(self._process.pid)
        if limits.seconds is not None:
            self.time.look(family)
            if seconds >= limits.seconds:
                return "seconds"
        if limits.processes is not None and len(family) > limits.processes:
            return "processes"
        if limits.memory is not None and self._memory(family, limits.memory) > limits.memory:
            return "memory"
        if self._disk and limits.disk is not None and self._disk.is_used(limits.disk // 2):
            # The look at each file costs time.
            return "disk" if self._disk.written(family) > limits.disk else None
        return None

    def _memory(self, family: Sequence[int], most: int) -> int:
        """Return the bytes that a program holds, shared ones once."""
        each = [MemoryUse.of(pid) for pid in family]
        self.largest = max([self.largest, *(one.address_space for one in each)])
        shared = max(sum(one.shared for one in each), in_memory_files(family))
        held = sum(one.private for one in each) + in_scratch(family)
        if held + shared > most:
            # Each process counts what it shares with others.
            shared = max(sum(map(proportional_share, family)), in_memory_files(family))
        self.peak = max(self.peak, held + shared)
        return held + shared


@dataclass(frozen=True)
class _Free:
    """Free bytes of a disk, and the number of files that it can still take."""

    bytes: int
    files: int

    @classmethod
    def of(cls, folder: Path) -> _Free:
        """Return those of a folder's disk; none if the folder is gone."""
        try:
            status = os.statvfs(folder)
        except OSError:
            return cls(0, 0)
        return cls(status.f_bfree * status.f_frsize, status.f_ffree)


class _Disk:
    """The files and folders that a program makes or changes in some folders of the host."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder for folder in folders if folder.exists()]
        self._begun = time.time_ns()
        disks = {folder.stat().st_dev: folder for folder in self._folders}
        self._before = {device: (folder, _Free.of(folder)) for device, folder in disks.items()}

    def written(self, family: Iterable[int] = ()) -> int:
        """Return the bytes that these take on the disk, at least `ENTRY` each.

        Args:
            family: the program's processes, which may have files open that have no name any more.
        """
        named = sum(max(status.st_blocks * 512, ENTRY) for _, status in self._entries())
        unnamed = open_files(family, lambda status: status.st_nlink == 0 and status.st_dev in self._before)
        return named + unnamed

    def is_used(self, much: int) -> bool:
        """True if more than so many bytes of one of the disks were taken since the beginning, by whomever.

        If others free some meanwhile, those that are taken afterwards count from there.
        """
        used = False
        for device, (folder, before) in self._before.items():
            now = _Free.of(folder)
            used |= before.bytes - now.bytes > much or (before.files - now.files) * ENTRY > much
            most = _Free(max(before.bytes, now.bytes), max(before.files, now.files))
            self._before[device] = folder, most
        return used

    def remove(self) -> None:
        """Remove these files, and the folders that are empty then."""
        for path, status in self._entries():
            with contextlib.suppress(OSError):
                path.rmdir() if stat.S_ISDIR(status.st_mode) else path.unlink()

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the entries whose inode was changed since the beginning, inner ones first; no program can set that time
        back."""
        for folder in self._folders:
            walked = (
                Path(root, name) for root, inner, names in os.walk(folder, topdown=False) for name in (*names, *inner)
            )
            for path in [folder] if folder.is_file() else walked:
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if status.st_ctime_ns >= self._begun - CLOCK:
                        yield path, status


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


@dataclass(frozen=True)
class MemoryUse:
    """Memory of a process in bytes (proc_pid_status(5)).

    Attributes:
        private: pages of its own.
        shared: pages that it may share with others and that are in no file on a disk.
        address_space: most that it has had.
    """

    private: int = 0
    shared: int = 0
    address_space: int = 0

    @classmethod
    def of(cls, pid: int) -> MemoryUse:
        """Return the memory of a process; none if it has ended."""
        try:
            text = Path(f"/proc/{pid}/status").read_bytes()
        except OSError:
            return cls()
        found = {name: int(number) << 10 for name, number in STATUS.findall(text)}
        return cls(found.get(b"RssAnon", 0), found.get(b"RssShmem", 0), found.get(b"VmPeak", 0))


def proportional_share(pid: int) -> int:
    """Return the bytes of shared memory of a process, each divided by the number of its users (proc_pid_smaps(5));
    all of them on kernels before 5.2."""
    match = None
    with contextlib.suppress(OSError):
        match = PROPORTIONAL.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    return int(match[1]) << 10 if match else MemoryUse.of(pid).shared


def in_memory_files(family: Iterable[int]) -> int:
    """Return the bytes of open files of memfd_create(2), which need not be mapped."""
    return open_files(family, lambda _: True, "/memfd:")


def open_files(family: Iterable[int], counts: Callable[[os.stat_result], bool], name: str = "") -> int:
    """Return the bytes of the regular files that processes have open, each once.

    Args:
        counts: tells whether a file counts.
        name: beginning of the names of the files that count.
    """
    found: dict[tuple[int, int], int] = {}
    for pid in family:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                file = Path(entry.path)
                with contextlib.suppress(OSError):
                    if str(file.readlink()).startswith(name or "/"):
                        status = file.stat()
                        if stat.S_ISREG(status.st_mode) and counts(status):
                            found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def in_scratch(family: Iterable[int]) -> int:
    """Return the bytes of files in the sandboxes' own folders in memory, such as /tmp."""
    own = os.getpid()
    here, found = _scratch(own), dict[int, int]()
    seen = {_mounts(own), ""}
    for pid in family:
        mounts = _mounts(pid)
        if mounts not in seen:
            seen.add(mounts)
            found |= {device: size for device, size in _scratch(pid).items() if device not in here}
    return sum(found.values())


def _mounts(pid: int) -> str:
    """Return the mount namespace of a process (namespaces(7)); empty if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/mnt").readlink().name
    return ""


def _scratch(pid: int) -> dict[int, int]:
    """Return the bytes used on the file systems of `SCRATCH` that a process sees, by their devices."""
    found: dict[int, int] = {}
    for folder in SCRATCH:
        with contextlib.suppress(OSError):
            place = f"/proc/{pid}/root{folder}"
            status = os.statvfs(place)
            found[Path(place).stat().st_dev] = (status.f_blocks - status.f_bfree) * status.f_frsize
    return found
