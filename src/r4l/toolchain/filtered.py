# SPDX-License-Identifier: MIT
"""Run a program without some system calls (seccomp(2)): `python filtered.py FILTER PROGRAM ARGUMENT…`.

`under-proot` is for PRoot 5.1, Debian's. It does not know some system calls that take paths, and passes these on
untranslated, so a program would see the host's file, or none (rustc finds no standard library). With ENOSYS, the C
library and Rust's use an older call. And it emulates brk with one record for all processes that clone has made with
CLONE_VM, also after they execute other programs (mended in PRoot 5.2): side by side, they crash. posix_spawn makes
processes in that way where clone3 is refused, as in Docker by default. With a brk that always fails, malloc uses mmap.

`bare` removes calls that no build needs and that have let programs out of sandboxes or reach what has no namespace: the
kernel's keys, io_uring, BPF, userfaultfd, perf events. Docker's default filter refuses them too. Also those by which
memory belongs to no process, where no limit sees it: that of System V (shmget, semget, msgget), and secret memory. And
a process cannot hide its open files from r4l, which counts them: PR_SET_DUMPABLE does nothing, without an error. Every
command in bubblewrap has this filter, by setpriv(1) of the tree (`toolchain.enter`).

`no-typing` removes ioctl's TIOCSTI and TIOCLINUX, by which a program can type into the terminal that it shares with a
shell.

The file imports nothing of r4l, since it starts the sandbox. So the numbers of system calls are here and not in
`arch/`: those of the toolchain's own programs, which are of one architecture whatever the guest's is.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable

AUDIT_ARCH_X86_64 = 0xC000003E  # include/uapi/linux/audit.h
X32_SYSCALL_BIT = 0x40000000  # arch/x86/include/uapi/asm/unistd.h
UNKNOWN = {"statx": 332, "openat2": 437, "faccessat2": 439, "fchmodat2": 452}  # syscall_64.tbl
BRK, MMAP = 12, 9  # syscall_64.tbl
HEAP = (16 << 20) + 4096
"""Bytes that PRoot maps in the place of a process's first brk (PREALLOCATED_HEAP_SIZE and a page, in its heap.c)."""
IOCTL, REQUESTS = 16, {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}  # syscall_64.tbl, asm-generic/ioctls.h
REFUSED = {
    "perf_event_open": 298,
    "bpf": 321,
    "userfaultfd": 323,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "shmget": 29,
    "semget": 64,
    "msgget": 68,
    "memfd_secret": 447,
}  # syscall_64.tbl
EPERM, ENOMEM, ENOSYS = 1, 12, 38
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2  # include/uapi/linux/prctl.h, seccomp.h
PRCTL, PR_SET_DUMPABLE = 157, 4  # syscall_64.tbl, include/uapi/linux/prctl.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD+W+ABS, JMP+JEQ+K, JMP+JGE+K, RET+K: linux/bpf_common.h
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data: nr, arch
FIRST, SECOND = 16, 24  # the low halves of args[0] and args[1]
FIFTH_HIGH = 52  # the high half of args[4]

Instruction = tuple[int, int, int, int]
"""struct sock_filter: code, instructions to skip if true and if false, operand."""


def under_proot() -> list[Instruction]:
    """Return a filter that fails calls unknown to PRoot, brk, and PRoot's own emulation of brk.

    A brk that fails returns the old end of the heap: 0 from the first call on. PRoot has changed the first, brk(0), to
    mmap before the filter sees it. Its descriptor of 64 bits tells that mmap from malloc's of the same size: the C
    library's is an int, whose high half is 0.

    Programs of other architectures are not filtered.
    """
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, AUDIT_ARCH_X86_64), (RETURN, 0, 0, ALLOW)]
    program.append((LOAD, 0, 0, NUMBER))
    for number in UNKNOWN.values():
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | ENOSYS)]
    program += [(EQUAL, 0, 1, BRK), (RETURN, 0, 0, ERRNO)]
    heap = [(LOAD, 0, 0, SECOND), (EQUAL, 0, 3, HEAP), (LOAD, 0, 0, FIFTH_HIGH), (EQUAL, 0, 1, 0xFFFFFFFF)]
    return [*program, (EQUAL, 0, 5, MMAP), *heap, (RETURN, 0, 0, ERRNO | ENOMEM), (RETURN, 0, 0, ALLOW)]


def no_typing() -> list[Instruction]:
    """Return a filter against typing into the terminal.

    Programs of other architectures, with other call numbers, get no call at all.
    """
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 0, 7, AUDIT_ARCH_X86_64),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 5, 0, X32_SYSCALL_BIT),
        (EQUAL, 0, 3, IOCTL),
        (LOAD, 0, 0, SECOND),
        (EQUAL, 3, 0, REQUESTS["TIOCSTI"]),
        (EQUAL, 2, 0, REQUESTS["TIOCLINUX"]),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | ENOSYS),
        (RETURN, 0, 0, ERRNO | EPERM),
    ]


def bare() -> list[Instruction]:
    """Return a filter that refuses the calls of `REFUSED`, all calls of programs of other architectures, and the effect
    of PR_SET_DUMPABLE."""
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, AUDIT_ARCH_X86_64), (RETURN, 0, 0, ERRNO | ENOSYS)]
    program += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32_SYSCALL_BIT), (RETURN, 0, 0, ERRNO | ENOSYS)]
    for number in REFUSED.values():
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | ENOSYS)]
    program += [(EQUAL, 0, 3, PRCTL), (LOAD, 0, 0, FIRST), (EQUAL, 0, 1, PR_SET_DUMPABLE), (RETURN, 0, 0, ERRNO)]
    return [*program, (RETURN, 0, 0, ALLOW)]


FILTERS: dict[str, Callable[[], list[Instruction]]] = {
    "under-proot": under_proot,
    "no-typing": no_typing,
    "bare": bare,
}


def packed(program: list[Instruction]) -> bytes:
    """Return a filter as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: list[Instruction]) -> None:
    """Install a filter for this process and its descendants.

    Raises:
        OSError: the kernel refuses the filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = packed(program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(program), ctypes.addressof(buffer))  # struct sock_fprog
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    install(FILTERS[sys.argv[1]]())
    os.execvp(sys.argv[2], sys.argv[2:])
