# SPDX-License-Identifier: MIT
"""Limits of untrusted programs: seconds, memory, processes, output. Only the user can raise them.

Environment variables (`R4L_BUILD_SECONDS` and so on, see `VARIABLES`) set the limits of builds; a module's folder
cannot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace

from r4l.errors import BuildError, UsageError

MIB = 1 << 20
GIB = 1 << 30
PER_CPU = GIB // 4
"""Bytes of memory for each additional parallel compiler."""
SHARE = 0.75
"""Share of the machine's memory that a build may use."""
HONEST, HONEST_PER_CPU = 768 * MIB, 128 * MIB
"""Bytes of memory that a module's build needs at most, on two CPUs, and for each CPU more.

The e1000 with the whole kit, the largest that r4l has, was seen to hold 392 MiB on two CPUs (Linux 7.3, rustc 1.85,
November 2026), a module in C 117 MiB.
"""
VIRTUAL, VIRTUAL_PER_CPU = 512 * MIB, 256 * MIB
"""Bytes of address space that a program maps or reserves without using them: rustc and LLVM with the libraries that
they read (a rustc that held 390 MiB had 1,044 MiB), and per thread stacks and glibc's arenas of 64 MiB."""

SCRATCH = {"/tmp": 2048 * MIB, "/run": 16 * MIB, "/dev/shm": 256 * MIB}
"""Folders in memory of every sandbox, with their maximum bytes; their files count as memory."""
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
UNITS = {"": 1, "K": 1 << 10, "M": MIB, "G": GIB, "T": 1 << 40}

OUT_OF_MEMORY = re.compile(
    r"Cannot allocate memory|memory allocation of \d+ bytes failed|out of memory|virtual memory exhausted"
    r"|std::bad_alloc|[Mm]emory exhausted|failed to map segment"
)
FILE_TOO_LARGE = re.compile(r"File size limit exceeded|File too large|SIGXFSZ")
"""Messages of make, compilers and the shell after exceeding a limit of setrlimit(2) (with `OUT_OF_MEMORY`)."""


class LimitExceeded(BuildError):
    """A program took more time, memory, processes or output than it may."""

    category = "limit"


@dataclass(frozen=True)
class Limits:
    """Upper bounds for a program and all its descendants. None means no bound.

    Attributes:
        seconds: wall clock on the host, from start to end.
        memory: bytes held by all processes together, shared memory and files in memory included (checked twice a
            second), and bytes of address space of each process, with an allowance for reservations of threads
            (RLIMIT_AS).
        processes: number of simultaneous processes.
        output: bytes printed.
        file: bytes of the largest file written (RLIMIT_FSIZE).
        disk: bytes on the disk of all files written (checked twice a second).
        need: bytes of memory that an honest program of the kind needs at most.
    """

    seconds: float | None = None
    memory: int | None = None
    processes: int | None = None
    output: int | None = None
    file: int | None = None
    disk: int | None = None
    need: int = 0

    @property
    def address_space(self) -> int | None:
        """Bytes that one process may address."""
        return None if self.memory is None else self.memory + VIRTUAL + VIRTUAL_PER_CPU * (os.cpu_count() or 1)

    @property
    def watched(self) -> bool:
        """True if a limit needs checks while the program runs."""
        return any(value is not None for value in (self.seconds, self.memory, self.processes, self.disk))

    @property
    def scant(self) -> bool:
        """True if the machine has too little memory for an honest program; one that takes more than that where there is
        enough exceeds its limit by its own fault."""
        return self.memory == int(machine_memory() * SHARE) and self.memory < self.need


UNLIMITED = Limits()
"""No limits, for interactive programs, and for QEMU, whose guest has a fixed size and whose owner ends it."""


def machine_memory() -> int:
    """Return the host's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _build_memory(most: int) -> int:
    return min(most + PER_CPU * (os.cpu_count() or 1), int(machine_memory() * SHARE))


def _honest() -> int:
    return HONEST + HONEST_PER_CPU * max(0, (os.cpu_count() or 1) - 2)


def build() -> Limits:
    """Return the limits for a module's build; 5 minutes by default.

    Raises:
        UsageError: an environment variable is not a number.
    """
    return _as_the_user_says(Limits(300.0, _build_memory(4 * GIB), 1000, 16 * MIB, GIB, 4 * GIB, _honest()))


_of_students: ContextVar[float | None] = ContextVar("_of_students", default=None)
"""Seconds for a student's kernel; None for the user's own."""


@contextmanager
def of_students(seconds: float = 2 * 3600.0) -> Iterator[None]:
    """Have the kernels that this thread builds in the block be a student's, with less time, and 16 GiB on the disk.

    The kernel of lab 1 takes 12 minutes on two CPUs, and half a GiB (Linux 7.3, November 2026); one with all options
    takes a day.

    Args:
        seconds: wall clock on the host for each run of make.
    """
    token = _of_students.set(seconds)
    try:
        yield
    finally:
        _of_students.reset(token)


def kernel() -> Limits:
    """Return the limits for a kernel's build from source; 12 hours by default, and less for a student's.

    Raises:
        UsageError: an environment variable is not a number.
    """
    memory = _build_memory(16 * GIB)
    # How much a kernel with all options needs at most was not measured: what this machine lacks is its own fault.
    most = Limits(12 * 3600.0, memory, 4000, GIB, 16 * GIB, 64 * GIB, memory + 1)
    seconds = _of_students.get()
    return _as_the_user_says(most if seconds is None else replace(most, seconds=seconds, disk=16 * GIB))


def tool() -> Limits:
    """Return the limits for a short program, such as a dry run of make; 10 minutes."""
    return Limits(600.0, _build_memory(4 * GIB), 1000, 2 * GIB, 8 * GIB, 32 * GIB, _honest())


def _number(text: str) -> float:
    return float(text)


def _size(text: str) -> float:
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * UNITS[match[2].upper()])


VARIABLES: dict[str, tuple[str, Callable[[str], float], str]] = {
    "R4L_BUILD_SECONDS": ("seconds", _number, "a number of seconds"),
    "R4L_BUILD_MEMORY": ("memory", _size, "a size such as 6G"),
    "R4L_BUILD_PROCESSES": ("processes", _number, "a number"),
    "R4L_BUILD_OUTPUT": ("output", _size, "a size such as 64M"),
    "R4L_BUILD_FILE": ("file", _size, "a size such as 2G"),
    "R4L_BUILD_DISK": ("disk", _size, "a size such as 8G"),
}
"""Environment variables: the limit of builds that each sets, its parser, and a description of valid values."""


def variable_of(field: str) -> str:
    """Return the name of the variable that sets a limit."""
    return next(name for name, (of, _, _) in VARIABLES.items() if of == field)


def _as_the_user_says(limits: Limits) -> Limits:
    changes: dict[str, float] = {}
    for name, (field, read, form) in VARIABLES.items():
        text = os.environ.get(name)
        if not text:
            continue
        try:
            value = read(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} is {text!r}", f"set it to {form}, or unset it")
        changes[field] = value if field == "seconds" else int(value)
    return replace(limits, **changes)  # type: ignore[arg-type]


def phrase(field: str, limits: Limits) -> str:
    """Return a phrase for an exceeded limit, such as `took longer than 300 s`."""
    value = getattr(limits, field)
    return {
        "seconds": f"took longer than {value:g} s" if value else "",
        "memory": f"took more than {_readable(value)} of memory",
        "processes": f"started more than {value} processes",
        "output": f"printed more than {_readable(value)}",
        "file": f"wrote a file of more than {_readable(value)}",
        "disk": f"wrote more than {_readable(value)} in all",
    }[field]


def exceeded(what: str, field: str, limits: Limits, detail: str = "") -> LimitExceeded:
    """Return the error for a program that exceeded a limit.

    Args:
        what: the program, for people.
        field: name of the limit in `Limits`.
    """
    return LimitExceeded(
        f"{what} {phrase(field, limits)}, and was ended",
        f"correct the build, or set {variable_of(field)} to a higher limit if it needs that much",
        detail=detail,
    )


def met(text: str, limits: Limits) -> str | None:
    """Return the kernel-enforced limit that a failed program's output indicates, or None."""
    if limits.memory is not None and OUT_OF_MEMORY.search(text):
        return "memory"
    if limits.file is not None and FILE_TOO_LARGE.search(text):
        return "file"
    return None


def _readable(size: int | None) -> str:
    if size is None:
        return ""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


assert {field for field, _, _ in VARIABLES.values()} == {field.name for field in fields(Limits)} - {"need"}
