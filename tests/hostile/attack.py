# SPDX-License-Identifier: MIT
"""An attacker's program. It runs where untrusted code can run (a Makefile, an editor's server) and tries to get out.

It reads `attack.json` beside it, makes each attempt listed there, and prints the results as JSON: `reached: …` or the
error. Its argument is a writable folder. It uses the standard library only, since it runs in the sandbox.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORLD: dict[str, Any] = json.loads((HERE / "attack.json").read_text())
TIOCSTI = 0x5412
"""Number from asm-generic/ioctls.h; the tree's Python has no termios."""
KEYCTL, KEYCTL_SEARCH, KEYCTL_READ = 250, 10, 11
"""Numbers from asm/unistd_64.h and linux/keyctl.h."""
SESSION_KEYRING = -3
CALLS = {
    "add_key": "248, my $type = 'user', my $name = 'hostile', my $data = 'x', 1, -3",
    "io_uring_setup": "425, 1, my $parameters = chr(0) x 120",
    "bpf": "321, 0, my $array = pack('L4 x100', 2, 4, 4, 1), 116",
    "userfaultfd": "323, 1",
    "shmget": "29, 0, 4096, 0x3b6",
    "semget": "64, 0, 1, 0x3b6",
    "msgget": "68, 0, 0x3b6",
    "perf_event_open": "298, my $clock = pack('L2 Q x96', 1, 112, 0), 0, -1, -1, 0",
}
"""System calls with arguments, as of perl's `syscall`."""
OWN = Path(sys.argv[1])
PRCTL = 157
PTRACE, PTRACE_ATTACH, MOUNT, MS_REMOUNT_BIND, SHMAT, SHM_RDONLY = 101, 16, 165, 32 | 4096, 30, 0o10000
"""Numbers of x86-64's system calls, and their arguments (asm/unistd_64.h, linux/mount.h, linux/shm.h)."""


def perl(script: str) -> str:
    """Return a perl script's output: perl can make system calls, and the tree's Python has no ctypes."""
    done = subprocess.run(["perl", "-e", f"sub sure {{ $_[0] != -1 or die $! }} {script}"], capture_output=True)
    if done.returncode:
        raise OSError(errno.EPERM, done.stderr.decode())
    return done.stdout.decode(errors="replace")


def write(path: str) -> str:
    """Create or lengthen a file of another user."""
    with Path(path).open("a") as file:
        file.write("# hostile\n")
    return path


def read(path: str) -> str:
    """Read a secret file."""
    return Path(path).read_bytes().decode(errors="replace")


def secret_environment() -> str:
    """Read the caller's environment in the memory of a process that r4l started."""
    return "".join(
        read(f"/proc/{pid}/environ") for pid in (path.name for path in Path("/proc").iterdir()) if pid.isdecimal()
    )


def loopback() -> str:
    """Connect to a service on the host's loopback."""
    with socket.create_connection(("127.0.0.1", WORLD["port"]), 5) as connection:
        return connection.recv(100).decode()


def abstract_socket() -> str:
    """Connect to a host's socket without a file, as D-Bus and X have."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect("\0" + WORLD["abstract"])
        return connection.recv(100).decode()


def interfaces() -> str:
    """List the host's network interfaces."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not others:
        raise OSError(errno.ENODEV, "there is only lo")
    return " ".join(others)


def block_devices() -> str:
    """Read the host's disks."""
    found = [entry.path for entry in os.scandir("/dev") if stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode)]
    if not found:
        raise OSError(errno.ENOENT, "no block device")
    return " ".join(found)


def device(path: str) -> str:
    """Open a device of the kernel."""
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    return path


def made_device() -> str:
    """Create a device node for the kernel log and open it."""
    node = OWN / "node"
    node.unlink(missing_ok=True)
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 11))
    try:
        return device(str(node))
    finally:
        node.unlink()


def terminal() -> str:
    """Open the terminal that r4l was called from."""
    number = os.open(WORLD["terminal"], os.O_WRONLY | os.O_NOCTTY)
    os.write(number, b"hostile to the terminal")
    return str(WORLD["terminal"])


def keys() -> str:
    """Push keys into that terminal."""
    for path in (WORLD["terminal"], "/dev/tty"):
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            refused = error
            continue
        for key in b"hostile keys":
            fcntl.ioctl(number, TIOCSTI, bytes([key]))
        return path
    raise refused


def kill() -> str:
    """Kill a process of the user."""
    os.kill(WORLD["victim"], signal.SIGUSR1)
    return str(WORLD["victim"])


def trace() -> str:
    """Attach to a process of the user by ptrace."""
    return perl(f"sure(syscall({PTRACE}, {PTRACE_ATTACH}, {WORLD['victim']}, 0, 0)); print 'attached'")


def capabilities() -> str:
    """Gain capabilities of root."""
    fields = dict(line.split(":\t", 1) for line in read("/proc/self/status").splitlines())
    # What bounds them gives none where execve(2) gives nothing: PR_SET_NO_NEW_PRIVS in prctl(2).
    bound = () if int(fields["NoNewPrivs"]) else ("CapBnd",)
    if not any(int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapAmb", *bound)):
        raise OSError(errno.EPERM, "no capability, and none to be had")
    return " ".join(f"{name} {fields[name]}" for name in ("CapEff", "CapPrm", "CapAmb", *bound))


def privileges() -> str:
    """Gain rights through a set-uid program."""
    if "NoNewPrivs:\t1" in read("/proc/self/status"):
        raise OSError(errno.EPERM, "no new privileges")
    return "set-uid programs work"


def mount(path: str) -> str:
    """Make the tree of compilers writable."""
    perl(f"my $usr = '/usr'; sure(syscall({MOUNT}, 0, $usr, 0, {MS_REMOUNT_BIND}, 0))")
    return write(f"/usr/{Path(path).name}")


def sysctl() -> str:
    """Change the program that the host's kernel runs as root when a program crashes."""
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "core_pattern"


def host_name() -> str:
    """Set the host's name to its present value."""
    socket.sethostname(os.uname().nodename)
    return os.uname().nodename


def shared_memory() -> str:
    """Attach shared memory of the host's processes (System V)."""
    attach = f"syscall({SHMAT}, {WORLD['shared_memory']}, 0, {SHM_RDONLY})"
    return perl(f"my $at = {attach}; sure($at); print unpack('P32', pack('J', $at))")


def system_call(name: str) -> str:
    """Make a system call that has no namespace, or that has let programs out of sandboxes."""
    return f"{name}: {perl(f'my $got = syscall({CALLS[name]}); sure($got); print $got')}"


def hide() -> str:
    """Hide its open files from the user."""
    if perl(f"syscall({PRCTL}, 4, 0); print syscall({PRCTL}, 3)") != "0":
        raise OSError(errno.EPERM, "they can be seen")
    return "hidden"


def key() -> str:
    """Read a key of the user's session."""
    find = f"my ($type, $name) = ('user', '{WORLD['key']}')"
    find += f"; my $key = syscall({KEYCTL}, {KEYCTL_SEARCH}, {SESSION_KEYRING}, $type, $name, 0); sure($key)"
    return perl(f"{find}; my $read = ' ' x 99; sure(syscall({KEYCTL}, {KEYCTL_READ}, $key, $read, 99)); print $read")


def key_names() -> str:
    """List the user's keys."""
    found = read("/proc/keys")
    if WORLD["key"] not in found:
        raise OSError(errno.ENOENT, f"{len(found)} bytes")
    return found


def linger() -> str:
    """Leave a process behind after the build; it holds a lock as long as it lives."""
    if os.fork():
        return "forked"
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    with (OWN / "lingers").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.pause()
    raise SystemExit


FUNCTIONS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        *(write, read, secret_environment, loopback, abstract_socket, interfaces, block_devices, device, made_device),
        *(terminal, keys, kill, trace, capabilities, privileges, mount, sysctl, host_name, shared_memory),
        *(system_call, hide, key, key_names, linger),
    )
}


def main() -> None:
    """Make all attempts."""
    came: dict[str, str] = {}
    for name, (function, *arguments) in WORLD["attempts"].items():
        try:
            came[name] = f"reached: {FUNCTIONS[function](*arguments)}"
        except OSError as error:
            came[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(came))


main()
