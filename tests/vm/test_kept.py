# SPDX-License-Identifier: MIT
"""Machines that stay: commands and shells in them, their end, and what is left when they are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r4l import home, resources
from r4l.kernel import Kernel
from r4l.module import Module

pytestmark = pytest.mark.vm

HELLO = str(resources.rust("drivers/hello"))
WARN = str(Path(__file__).parents[1] / "fixtures/oops_init")


def r4l(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "r4l", *arguments]
    where: dict[str, Any] = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run(argv, capture_output=True, check=False, timeout=200, **where)


def there() -> dict[str, dict[str, Any]]:
    return {machine["name"]: machine for machine in json.loads(r4l("ps", "--json").stdout)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def keep(kernel: Kernel) -> Iterator[Callable[..., str]]:
    """Starts a machine that stays, and returns its name; it is gone after the test."""
    names: list[str] = []

    def start(*arguments: str, code: int = 0) -> str:
        before = set(there())
        # Restored: what stays is the same as after a boot.
        named = ["--arch", kernel.arch, "--kernel", kernel.release, "--snapshot"]
        done = r4l("run", "--keep", *named, *arguments)
        assert done.returncode == code, done.stderr.decode()
        (name,) = set(there()) - before
        names.append(name)
        return name

    yield start
    for name in names:
        if name in there():
            r4l("stop", name)


def test_commands_in_a_machine_that_stays(
    keep: Callable[..., str], kernel: Kernel, on_terminal: Callable[..., Any]
) -> None:
    name = keep(HELLO, "--", "echo first; exit 3", code=3)
    assert name.startswith("hello")
    machine = there()[name]
    assert (machine["kernel"], machine["modules"]) == (kernel.release, ["hello"])
    assert (home.room("kept") / name).stat().st_mode & 0o077 == 0, "for its user alone"

    done = r4l("exec", name, "--", "cat; echo to stderr >&2; exit 7", given=b"piped in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"piped in\n", b"to stderr\n")
    assert len(r4l("exec", name, "--", "head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000
    assert r4l("exec", name, "--", "grep", "-c", "^hello ", "/proc/modules").stdout == b"1\n"

    late = r4l("exec", name, "--timeout", "0.5", "--", "sleep", "1000")
    assert late.returncode == 124
    client = subprocess.Popen(
        [sys.executable, "-m", "r4l", "exec", name, "--", "echo begun; exec sleep 1000"], stdout=-1
    )
    assert client.stdout
    assert client.stdout.readline() == b"begun\n"
    client.kill()
    client.communicate()
    ended = "for i in $(seq 100); do pidof sleep >/dev/null || exit 0; usleep 100000; done; exit 1"
    assert r4l("exec", name, "--", ended).returncode == 0, "what its user left was killed"

    shell = on_terminal("shell", "--join", name)
    shell.until("# ")
    shell.type("echo $((6 * 7)); exit 5\n")
    shell.until("42")
    assert shell.wait() == 5

    assert r4l("exec", "no-such", "--", "true").returncode == 2
    assert r4l("stop", name).returncode == 0
    assert name not in there()
    assert not alive(machine["pid"])
    assert not (home.room("kept") / name).exists()
    assert not Path(machine["run"]).exists()


def test_a_complaint_is_the_verdict_of_the_command_that_it_came_in(keep: Callable[..., str], kernel: Kernel) -> None:
    module = Module(WARN).build(kernel)
    name = keep("--put", f"{module.path}:/root/", "-", "--", "true")
    done = r4l("exec", name, "--", "insmod", f"/root/{module.path.name}", "kind=warn")
    assert done.returncode == 123
    assert "a warning on purpose, number 42" in done.stderr.decode()
    assert r4l("exec", name, "--", "true").returncode == 0


@pytest.mark.thorough
def test_a_module_that_spins_is_named_and_a_shell_tells_what_was_complained_of(
    keep: Callable[..., str], kernel: Kernel, on_terminal: Callable[..., Any]
) -> None:
    module = Module(WARN).build(kernel)
    name = keep("--put", f"{module.path}:/root/", "-", "--", "true")
    load = f"insmod /root/{module.path.name} kind="
    shell = on_terminal("shell", "--join", name)
    shell.until("# ")
    shell.type(f"{load}warn; rmmod oops_init; {load}warn; rmmod oops_init; exit\n")
    shell.until(r"(?s)(the kernel complained \(warning\).*){2}console.log")
    assert shell.wait() == 123
    # A lockup is reported after twice as many seconds (Documentation/admin-guide/lockup-watchdogs.rst).
    r4l("exec", name, "--", "echo 2 > /proc/sys/kernel/watchdog_thresh")
    done = r4l("exec", name, "--timeout", "9", "--", load + "spin")
    assert done.returncode == 123
    assert re.search(r"\((soft-lockup|rcu-stall)\).*\[oops_init\]", done.stderr.decode())


def test_what_a_killed_keeper_leaves_is_told_once_and_removed(keep: Callable[..., str]) -> None:
    name = keep("-", "--", "true")
    machine = there()[name]
    os.kill(machine["pid"], signal.SIGKILL)
    until = time.monotonic() + 20
    while alive(machine["pid"]) and time.monotonic() < until:
        time.sleep(0.05)
    told = r4l("ps")
    assert f"{name} is gone: its keeper was killed" in told.stderr.decode()
    assert name not in r4l("ps").stderr.decode()
    assert not (home.room("kept") / name).exists()
    qemus = (path for path in Path("/proc").glob("[0-9]*/cmdline") if machine["run"].encode() in _read(path))
    assert not list(qemus), "its QEMU is gone"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_guest_that_ends_by_itself_leaves_word(keep: Callable[..., str]) -> None:
    name = keep("-", "--", "true")
    pid = there()[name]["pid"]
    r4l("exec", name, "--", "poweroff")
    until = time.monotonic() + 60
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    told = r4l("exec", name, "--", "true")
    assert told.returncode == 2
    assert "poweroff or reboot" in told.stderr.decode()


def test_what_cannot_begin_leaves_nothing(kernel: Kernel) -> None:
    before = there()
    done = r4l("run", "--keep", "--device", "ed", "-", "--", "true")
    assert done.returncode == 2
    assert b"did you mean edu?" in done.stderr
    assert r4l("run", "--keep", "--json", "-").returncode == 2
    assert there() == before
