# SPDX-License-Identifier: MIT
"""Run a program without the system calls that PRoot 5.1 does not know: `python old_calls.py PROGRAM ARGUMENT…`.

PRoot lets a path in a call that it does not know through as it is, so the program is told of the host's file, or that
there is none (rustc finds no standard library). Told that there is no such call (ENOSYS), the C library and Rust's take
an older one. Has Python's standard library and nothing of ours: it is the program that PRoot is started by.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

AUDIT_ARCH_X86_64 = 0xC000003E  # include/uapi/linux/audit.h
CALLS = {"statx": 332, "openat2": 437, "faccessat2": 439, "fchmodat2": 452}  # arch/x86/entry/syscalls/syscall_64.tbl
ENOSYS = 38
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2  # include/uapi/linux/prctl.h, seccomp.h
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06  # BPF_LD+W+ABS, BPF_JMP+JEQ+K, BPF_RET+K: include/uapi/linux/bpf_common.h
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data


def instructions() -> bytes:
    """The filter (struct sock_filter[]): each of the calls fails, everything else is allowed."""
    count = len(CALLS)
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUALS, 0, count + 1, AUDIT_ARCH_X86_64), (LOAD, 0, 0, NUMBER)]
    # Each compares and jumps over the rest of them and the first return, to the second.
    program += [(EQUALS, count - index, 0, number) for index, number in enumerate(CALLS.values())]
    program += [(RETURN, 0, 0, SECCOMP_RET_ALLOW), (RETURN, 0, 0, SECCOMP_RET_ERRNO | ENOSYS)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def refuse() -> None:
    """Do without these calls from now on, with all that is started.

    Raises:
        OSError: the kernel takes no filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    code = instructions()
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse()
    os.execvp(sys.argv[1], sys.argv[1:])
