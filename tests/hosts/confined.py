# SPDX-License-Identifier: MIT
"""The restrictions of a container by Docker's defaults: capabilities, and system calls by seccomp.

The profile is profiles/seccomp/default.json of moby/moby, for a container without CAP_SYS_ADMIN. It lists what is
allowed; here stands what it leaves out of the calls of x86-64 that a program may try.
"""

from __future__ import annotations

import errno

from r4l.toolchain.filtered import (
    ALLOW,
    ARCHITECTURE,
    AUDIT_ARCH_X86_64,
    EQUAL,
    ERRNO,
    LOAD,
    NUMBER,
    RETURN,
    Instruction,
    packed,
)

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
"""Docker's default capabilities (docs.docker.com, "Runtime privilege and Linux capabilities")."""
REFUSED = {
    "vhangup": 153, "adjtimex": 159, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167,
    "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "syslog": 103, "clock_settime": 227, "mbind": 237,
    "set_mempolicy": 238, "get_mempolicy": 239, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
    "open_by_handle_at": 304, "setns": 308, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
    "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438,
    "mount_setattr": 442,
}  # fmt: skip
"""Calls that end with EPERM, with their numbers (syscall_64.tbl)."""
CLONE, CLONE3, PERSONALITY = 56, 435, 135
NAMESPACES = 0x7E020000
"""The CLONE_NEW* flags, with which clone ends with EPERM."""
PERSONAS = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
"""The only arguments of personality: setarch's -R is not among them."""
ANY = 0x45  # BPF_JMP+JSET+K
FIRST = 16  # offset in struct seccomp_data: the low half of args[0]


def options(profile: int) -> list[str]:
    """Return bubblewrap's options for a container's capabilities and system calls.

    Args:
        profile: descriptor of a file with the content of `profile()`.
    """
    added = [word for name in CAPABILITIES for word in ("--cap-add", f"CAP_{name}")]
    return ["--cap-drop", "ALL", *added, "--seccomp", str(profile)]


def profile() -> bytes:
    """Return the filter, as bubblewrap's option --seccomp takes it."""
    refuse: Instruction = (RETURN, 0, 0, ERRNO | errno.EPERM)
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        refuse,
        (LOAD, 0, 0, NUMBER),
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    for number in REFUSED.values():
        program += [(EQUAL, 0, 1, number), refuse]
    program += [(EQUAL, 0, 4, CLONE), (LOAD, 0, 0, FIRST), (ANY, 0, 1, NAMESPACES), refuse, (RETURN, 0, 0, ALLOW)]
    program += [(EQUAL, 0, len(PERSONAS) + 2, PERSONALITY), (LOAD, 0, 0, FIRST)]
    program += [(EQUAL, len(PERSONAS) - index, 0, persona) for index, persona in enumerate(PERSONAS)]
    program += [refuse, (RETURN, 0, 0, ALLOW)]
    return packed(program)
