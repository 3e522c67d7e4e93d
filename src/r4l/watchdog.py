# SPDX-License-Identifier: MIT
"""Watch a running program, and end it when it exceeds its limits."""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r4l.limits import SCRATCH, Limits
from r4l.shortage import ProcessorTime
from r4l.threads import guarded
from r4l.walk import Visit, walk

INTERVAL = 0.5
"""Least seconds between two checks."""
PART = 20
"""Bound on overhead: a check takes at most one part in `PART` of the time, however many processes the host has, but for
`LONGEST`."""
LONGEST = 5.0
"""Most seconds between two checks of the same kind: a program with very many open files must not be left alone."""
ENTRY = 4096
"""Bytes that the smallest file counts for: a disk takes a limited number of files."""
CLOCK = 10_000_000
"""Nanoseconds by which the clock of a file system may be behind: it moves with the timer's interrupt."""
THREAD, INODE, SOCKET = 32 << 10, 1 << 10, 208 << 10
"""Bytes of the kernel's memory for a thread (a stack of 16 KiB, and what describes it), for a file in memory without
content, and for what waits in a socket (net.core.wmem_default)."""
STATUS = re.compile(rb"^(RssAnon|RssShmem|VmPTE|VmPeak|Threads):\s+(\d+)", re.MULTILINE)
IN_FLIGHT = re.compile(rb"^scm_fds:\s+[1-9]", re.MULTILINE)
"""Files that were sent to a socket and not received yet, which no process has open (unix(7), SCM_RIGHTS)."""
UNNAMED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) ..[-x]s \S+ (\S+) (\d+) +(?:/memfd:|/dev/zero \(deleted\)$)", re.MULTILINE
)
"""A mapping of memory that has no file and is shared (proc_pid_maps(5)): begin, end, device, inode."""
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
        self._open = OpenFiles()
        self._open_due = 0.0
        self._held = 0
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
            pause = min(LONGEST, max(INTERVAL, PART * (self.seconds - looked)))

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
        if self.seconds >= self._open_due:
            # That may take long, and shows nothing of what the processes have in plain sight.
            begun = self.seconds
            self._open.look(family)
            self._open_due = self.seconds + min(LONGEST, PART * (self.seconds - begun))
            self.peak = max(self.peak, self._held + self._open.unnamed)
            if limits.memory is not None and (self._open.hidden or self._held + self._open.unnamed > limits.memory):
                return "memory"
        if self._disk and limits.disk is not None and self._disk.is_used(limits.disk // 2):
            # The look at each file costs time.
            return "disk" if self._disk.written() + self._open.removed(self._disk.devices) > limits.disk else None
        return None

    def _memory(self, family: Sequence[int], most: int) -> int:
        """Return the bytes that a program holds, shared ones once."""
        each = [MemoryUse.of(pid) for pid in family]
        self.largest = max([self.largest, *(one.address_space for one in each)])
        shared = sum(one.shared for one in each)
        held = sum(one.private for one in each) + in_scratch(family)
        if held + shared > most:
            # Each process counts what it shares with others.
            shared = sum(map(proportional_share, family))
        self._held = held
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

    @property
    def devices(self) -> Container[int]:
        """The disks (st_dev)."""
        return self._before

    def written(self) -> float:
        """Return the bytes that those with a name take on the disk, at least `ENTRY` each; infinity if the program
        hides some, in a folder that its owner may not enter."""
        return sum(map(self._size, self._visits(force=False)))

    def _size(self, visit: Visit) -> float:
        """Return the bytes of a folder's content."""
        if visit.closed:
            status = self._new(visit.closed, visit.folder)
            return math.inf if status or visit.folder < 0 else 0
        return sum(
            max(status.st_blocks * 512, ENTRY)
            for entry in visit.entries
            if (status := self._new(entry.name, visit.folder))
        )

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
        for visit in self._visits(force=True):
            for entry in visit.entries:
                if not entry.is_dir(follow_symlinks=False) and self._new(entry.name, visit.folder):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.name, dir_fd=visit.folder)
            if visit.left and self._new(visit.left, visit.folder):
                with contextlib.suppress(OSError):
                    os.rmdir(visit.left, dir_fd=visit.folder)
        for folder in self._folders:
            if folder.is_file() and folder.lstat().st_ctime_ns >= self._begun - CLOCK:
                folder.unlink()

    def _visits(self, *, force: bool) -> Iterator[Visit]:
        return (visit for folder in self._folders for visit in walk(folder, force=force))

    def _new(self, name: str, folder: int) -> os.stat_result | None:
        """Return the status of an entry whose inode was changed since the beginning; no program can set that time
        back."""
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=folder if folder >= 0 else None, follow_symlinks=False)
            return status if status.st_ctime_ns >= self._begun - CLOCK else None
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


@dataclass(frozen=True)
class MemoryUse:
    """Memory of a process in bytes (proc_pid_status(5)).

    Attributes:
        private: pages of its own, and the kernel's for its threads and page tables.
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
        found = {name: int(number) for name, number in STATUS.findall(text)}
        kernels = found.get(b"Threads", 0) * THREAD
        pages = (found.get(name, 0) << 10 for name in (b"RssAnon", b"VmPTE", b"RssShmem", b"VmPeak"))
        anonymous, tables, shared, peak = pages
        return cls(anonymous + tables + kernels, shared, peak)


def proportional_share(pid: int) -> int:
    """Return the bytes of shared memory of a process, each divided by the number of its users (proc_pid_smaps(5));
    all of them on kernels before 5.2."""
    match = None
    with contextlib.suppress(OSError):
        match = PROPORTIONAL.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    return int(match[1]) << 10 if match else MemoryUse.of(pid).shared


@dataclass(frozen=True)
class _Open:
    """An open file: its status, and whether it is memory that has no name."""

    status: os.stat_result
    is_memory: bool


class OpenFiles:
    """The files that a program's processes have open or mapped, as far as no folder shows them.

    Attributes:
        hidden: True if a process hides its files from its own user, or has some in flight, at two looks.
    """

    def __init__(self) -> None:
        self.hidden = False
        self._files: dict[tuple[int, int], _Open] = {}
        self._mapped: dict[tuple[bytes, bytes], int] = {}
        self._sockets: set[int] = set()
        self._hiding: set[int] = set()

    def look(self, family: Iterable[int]) -> None:
        """Look at the files of some processes."""
        self._files, self._mapped, self._sockets = {}, {}, set()
        hiding: set[int] = set()
        for pid in family:
            try:
                if self._look_at(pid):
                    hiding.add(pid)
            except PermissionError:
                # A process that ends is closed, too, and has no memory any more.
                if MemoryUse.of(pid).address_space:
                    hiding.add(pid)
            except OSError:
                pass
        self.hidden = bool(hiding & self._hiding)
        self._hiding = hiding

    @property
    def unnamed(self) -> int:
        """Bytes of memory in sockets, in files of memfd_create(2), which need not be mapped, and in shared mappings,
        whose pages count for nobody once a process has given them back (MADV_DONTNEED in madvise(2))."""
        files = sum(file.status.st_blocks * 512 for file in self._files.values() if file.is_memory)
        return max(files, sum(self._mapped.values())) + len(self._sockets) * SOCKET

    def removed(self, devices: Container[int]) -> int:
        """Return the bytes of the files on some disks that have no name any more."""
        statuses = (file.status for file in self._files.values() if not file.is_memory)
        return sum(one.st_blocks * 512 for one in statuses if one.st_nlink == 0 and one.st_dev in devices)

    def _look_at(self, pid: int) -> bool:
        """Look at the files of a process; return True if it has some in flight."""
        in_flight = False
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                status = entry.stat()
                if stat.S_ISSOCK(status.st_mode) and status.st_ino not in self._sockets:
                    self._sockets.add(status.st_ino)
                    told = Path(f"/proc/{pid}/fdinfo", entry.name).read_bytes()
                    in_flight |= IN_FLIGHT.search(told) is not None
                elif stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in self._files:
                    is_memory = str(Path(entry.path).readlink()).startswith("/memfd:")
                    self._files[status.st_dev, status.st_ino] = _Open(status, is_memory)
        for begin, end, device, inode in UNNAMED.findall(Path(f"/proc/{pid}/maps").read_bytes()):
            size = int(end, 16) - int(begin, 16)
            self._mapped[device, inode] = max(size, self._mapped.get((device, inode), 0))
        return in_flight


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
            content = (status.f_blocks - status.f_bfree) * status.f_frsize
            found[Path(place).stat().st_dev] = content + (status.f_files - status.f_ffree) * INODE
    return found
