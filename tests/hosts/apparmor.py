# SPDX-License-Identifier: MIT
"""AppArmor's restriction of user namespaces (Ubuntu 23.10 and later), imitated by seccomp on a kernel without AppArmor.

There an unprivileged process may make a user namespace and has no rights in it. bubblewrap opens its `uid_map`, gets
EACCES and ends with "setting up uid map: Permission denied". Here a supervisor, asked by the kernel for each call that
could be such an open (seccomp_unotify(2)), gives the same answer as long as the setting is 1.

`python apparmor.py inside SOCKET COMMAND…` installs the filter, sends its descriptor to the supervisor, and becomes the
command. Imports nothing of r4l.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTING = "kernel.apparmor_restrict_unprivileged_userns"
OPENAT, O_RDWR_CLOEXEC = 257, os.O_RDWR | os.O_CLOEXEC  # syscall_64.tbl; the flags of bubblewrap's write_file_at()
AUDIT_ARCH_X86_64 = 0xC000003E  # include/uapi/linux/audit.h
ALLOW, USER_NOTIF = 0x7FFF0000, 0x7FC00000  # SECCOMP_RET_*, include/uapi/linux/seccomp.h
SECCOMP, SET_MODE_FILTER, NEW_LISTENER = 317, 1, 8  # syscall_64.tbl, linux/seccomp.h
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
NOTICE = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif: id, pid, flags; seccomp_data: nr, arch, ip, args
ANSWER = struct.Struct("=QqiI")  # struct seccomp_notif_resp: id, val, error, flags
RECEIVE = 3 << 30 | NOTICE.size << 16 | ord("!") << 8  # SECCOMP_IOCTL_NOTIF_RECV
SEND = 3 << 30 | ANSWER.size << 16 | ord("!") << 8 | 1  # SECCOMP_IOCTL_NOTIF_SEND
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD+W+ABS, JMP+JEQ+K, RET+K
FILTER = [
    (LOAD, 0, 0, 4),
    (EQUAL, 0, 5, AUDIT_ARCH_X86_64),
    (LOAD, 0, 0, 0),
    (EQUAL, 0, 3, OPENAT),
    (LOAD, 0, 0, 32),  # the low half of args[2]
    (EQUAL, 0, 1, O_RDWR_CLOEXEC),
    (RETURN, 0, 0, USER_NOTIF),
    (RETURN, 0, 0, ALLOW),
]


def inside(path: str, argv: list[str]) -> None:
    """Become a command whose opens of `uid_map` are supervised. Root needs no no_new_privs for that, so sudo works."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in FILTER)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(FILTER), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    listener = libc.syscall(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.connect(path)
        socket.send_fds(supervisor, [b"x"], [listener])
    os.close(listener)
    os.execvp(argv[0], argv)


@contextmanager
def restricted(path: Path, setting: Path) -> Iterator[list[int]]:
    """Supervise the commands that connect to a socket, as long as this lasts.

    Args:
        path: the socket.
        setting: file whose content `0` lifts the restriction.

    Yields:
        The process ids of those that were refused.
    """
    refused: list[int] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    _, [listener], *_ = socket.recv_fds(client, 1, 1)
                    client.close()
                    threading.Thread(target=supervise, args=(listener, setting, refused), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield refused


def supervise(listener: int, setting: Path, refused: list[int]) -> None:
    """Answer the kernel's questions until the last supervised process has ended."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while any(events & select.POLLIN for _, events in poll.poll()):
        buffer = bytearray(NOTICE.size)
        # The process may have been killed meanwhile.
        with suppress(FileNotFoundError):
            fcntl.ioctl(listener, RECEIVE, buffer)
            answer(listener, buffer, setting, refused)
    os.close(listener)


def answer(listener: int, notice: bytearray, setting: Path, refused: list[int]) -> None:
    """Answer one question: EACCES, or that the call goes on."""
    number, pid, *_, name, _, _, _, _ = NOTICE.unpack(notice)
    denied = reads(pid, name).endswith(b"uid_map") and is_user(pid) and setting.read_text().strip() != "0"
    if denied:
        refused.append(pid)
    reply = ANSWER.pack(number, 0, -errno.EACCES if denied else 0, 0 if denied else CONTINUE)
    # The process may have been killed meanwhile.
    with suppress(OSError):
        fcntl.ioctl(listener, SEND, bytearray(reply))


def reads(pid: int, address: int) -> bytes:
    """Return the path at an address of a process; empty if it has ended."""
    with suppress(OSError), Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(256).split(b"\0")[0]
    return b""


def is_user(pid: int) -> bool:
    """Return True for a process that is not root's. The restriction holds for those without CAP_SYS_ADMIN."""
    with suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid != 0  # noqa: PTH116 (a folder of procfs)
    return False


if __name__ == "__main__":
    inside(sys.argv[2], sys.argv[3:])
