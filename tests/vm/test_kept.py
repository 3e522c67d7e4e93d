# SPDX-License-Identifier: MIT
"""Machines that stay: commands and shells in them, their end, and what is left when they are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from r4l import home, inuse, kept, resources
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
    """The machines that run, asked without `r4l ps`, which would take a note of another test's with it."""
    return {machine.name: asdict(machine) for machine in kept.running()}


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
        # Restored: what stays is the same as after a boot.
        named = ["--arch", kernel.arch, "--kernel", kernel.release, "--snapshot"]
        done = r4l("run", "--keep", *named, *arguments)
        assert done.returncode == code, done.stderr.decode()
        # Not the one that is new: another process's may be.
        name: str = re.findall(r"^(\S+) keeps running:", done.stderr.decode(), re.MULTILINE)[-1]
        names.append(name)
        return name

    # `r4l ps` tells of every machine once: a test of another process would miss what it waits for.
    with home.lock("tests-of-kept-machines"):
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
    assert (machine["kernel"], machine["modules"]) == (kernel.release, ("hello",))
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
def test_a_complaint_while_no_command_runs_is_told_once(keep: Callable[..., str], kernel: Kernel) -> None:
    """Regression: no command told it."""
    module = Module(WARN).build(kernel)
    name = keep("--put", f"{module.path}:/root/", "-", "--", "true")
    log = Path(there()[name]["run"], "console.log")
    words = "a warning on purpose, number 42"
    told = f"note: in {name}, while no command ran there:"
    go = "(until [ -e /root/go ]; do usleep 20000; done; {}) >/dev/null 2>&1 &"
    load = f"insmod /root/{module.path.name} kind=warn; rmmod oops_init; rm /root/go"
    tellers: list[tuple[str, ...]] = [("exec", name, "--", "true"), ("ps",), ("ps", "--json"), ("stop", name)]
    for number, teller in enumerate(tellers, start=1):
        # The command that sets it off ends before the kernel complains.
        assert r4l("exec", name, "--", go.format(f"usleep 500000; {load}")).returncode == 0
        assert r4l("exec", name, "--", "touch /root/go").returncode == 0
        until = time.monotonic() + 60
        while log.read_text(errors="replace").count(words) < number and time.monotonic() < until:
            time.sleep(0.05)
        # The complaint's last lines are still coming.
        time.sleep(1)
        done = r4l(*teller)
        assert done.returncode == 123, done.stderr.decode()
        assert done.stderr.decode().count("the kernel complained (warning): WARNING: oops_init.c") == 1
        assert (told in done.stderr.decode()) == (teller[0] != "stop")
        if teller[0] != "stop":
            assert r4l("exec", name, "--", "true").returncode == 0
    assert log.exists(), "the log with the complaint stays"
    assert name not in there()


@pytest.mark.thorough
def test_the_panic_of_a_machine_that_nobody_uses_is_told_once(keep: Callable[..., str]) -> None:
    name = keep("-", "--", "true")
    pid = there()[name]["pid"]
    assert r4l("exec", name, "--", "(sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &").returncode == 0
    until = time.monotonic() + 60
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    told = r4l("exec", name, "--", "true")
    assert told.returncode == 123
    assert "sysrq" in told.stderr.decode()
    assert r4l("exec", name, "--", "true").returncode == 2


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


def test_what_cannot_begin_leaves_nothing(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"R4L_TEST_OF_KEPT={os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv(*mark.split("="))
    before = _folders()
    done = r4l("run", "--keep", "--device", "ed", "-", "--", "true")
    assert done.returncode == 2
    assert b"did you mean edu?" in done.stderr
    assert r4l("run", "--keep", "--json", "-").returncode == 2
    ours = [path for path in Path("/proc").glob("[0-9]*/environ") if mark.encode() in _read(path)]
    assert not [path for path in ours if alive(int(path.parent.name))]
    # Another process may have begun one meanwhile.
    left = _folders() - before
    assert not [folder for folder in left if not _is_anothers(folder)]


def _folders() -> set[Path]:
    return set(home.room("kept").iterdir())


def _is_anothers(folder: Path) -> bool:
    with inuse.exclusively(folder) as alone:
        return not alone
