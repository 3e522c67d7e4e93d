# SPDX-License-Identifier: MIT
"""Attribution of a missing answer to host or guest."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.errors import BuildError, EnvironmentFault, GuestTimeout, R4LError, VerdictError
from r4l.guest import GuestGone, ProtocolError
from r4l.klog import KernelLog
from r4l.pci import Missing
from r4l.pci.access import ModelTimeout
from r4l.vm import MachineReset, NoAgent, NoOutput, QemuDied
from r4l.vm.blame import RunTime, host_fault, starved, stray_breakpoint
from r4l.vm.boot import why_it_ended
from r4l.vm.errors import MonitorTimeout


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def starving(error: R4LError) -> R4LError:
    error.starved = "this machine is too busy"
    return error


@pytest.mark.parametrize(
    "error",
    [
        EnvironmentFault("the disk is full"),
        QemuDied("QEMU was killed by SIGKILL"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError(errno.EMFILE, "Too many open files"),
        caused(R4LError("it cannot be kept"), OSError(errno.EDQUOT, "Disk quota exceeded")),
        starving(NoOutput("nothing for 10 s")),
        starving(NoAgent("no agent within 120 s")),
        starving(ModelTimeout("a method has returned after 30 s")),
    ],
)
def test_the_hosts(error: BaseException) -> None:
    assert host_fault(error)


def test_a_refused_allocation_is_the_hosts_where_memory_is_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a check that asks for as many bytes as a guest says was not judged."""
    monkeypatch.setattr("r4l.shortage.SCARCE", 0)
    with pytest.raises(MemoryError) as caught:
        bytearray(1 << 60)
    assert not host_fault(caught.value)
    monkeypatch.setattr("r4l.shortage.SCARCE", 1 << 60)
    assert host_fault(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        VerdictError("the kernel complained"),
        MachineReset("the machine was reset"),
        BuildError("it does not build"),
        GuestGone("the guest ended its machine"),
        ProtocolError("it floods"),
        GuestTimeout("a command did not end"),
        MonitorTimeout("QEMU did not answer set_link within 10 s"),
        ModelTimeout("a method has returned after 30 s"),
        NoAgent("no agent within 120 s"),
        AssertionError("assert 1 == 2"),
        FileNotFoundError(errno.ENOENT, "No such file"),
    ],
)
def test_the_guests(error: BaseException) -> None:
    assert not host_fault(error)


@pytest.mark.parametrize(
    ("code", "booted", "host"),
    [
        (-9, True, True),
        (137, True, True),
        (143, True, True),
        (135, True, True),
        (1, False, True),
        (134, True, False),
        (139, True, False),
        (1, True, False),
        (159, True, False),
    ],
)
def test_a_guest_that_crashes_qemu_is_judged(code: int, booted: bool, host: bool, tmp_path: Path) -> None:
    """Regression: a driver that made QEMU abort was not judged."""
    console = SimpleNamespace(tail=lambda *_: "")
    qemu: Any = SimpleNamespace(console=console, output=lambda: "it aborts", machine=None, log=tmp_path, toolchain=None)
    klog: Any = SimpleNamespace(records=list, file=None)
    if not booted:
        qemu.output = str
        qemu.machine = SimpleNamespace(extra=())
    died = why_it_ended(code, None, qemu, klog, booted=booted)
    assert isinstance(died, QemuDied)
    assert bool(host_fault(died)) == host
    assert (died.crashed, died.refused) == (not host, not booted)


@contextmanager
def running(code: str, count: int) -> Iterator[list[int]]:
    """Start programs that share one processor of the host."""
    cpu = min(os.sched_getaffinity(0))
    text = f"import os, time; os.sched_setaffinity(0, [{cpu}])\n{code}"
    started = [subprocess.Popen([sys.executable, "-c", text]) for _ in range(count)]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


SPINS = "while True: pass"
needs_account = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel keeps no account")


@needs_account
def test_a_machine_that_waits_for_a_processor_is_starved() -> None:
    begun = time.monotonic()
    with running(SPINS, 8) as pids:
        time.sleep(1.5)
        assert "too busy" in starved(pids[0], begun)
        machine: Any = SimpleNamespace(
            pid=pids[0], begun=begun, running=True, floods=[], machine=SimpleNamespace(accel="kvm", cpus=2)
        )
        assert "a time-out" in host_fault(GuestTimeout("it did not end"), machine)
        assert "a time-out" in host_fault(AssertionError("Timeout (>60.0s) from pytest-timeout."), machine)
        assert not host_fault(VerdictError("a check failed"), machine), "an answer is one on a busy machine too"
        late: list[BaseException] = [
            MonitorTimeout("QEMU did not answer"),
            ModelTimeout("no return"),
            Missing("no event within 1 s"),
        ]
        late.append(caused(VerdictError("watchdog: BUG: soft lockup"), GuestTimeout("it did not end")))
        assert all("a time-out" in host_fault(error, machine) for error in late)
        machine.floods = ["its console"]
        assert not host_fault(GuestTimeout("it did not end"), machine), "one that floods us keeps itself busy"
        machine.begun -= 1000
        # A look is short, and this computer may itself be kept from its processors for most of one.
        looks = (starved(pids[0], machine.begun) for _ in range(3))
        assert any("too busy" in said for said in looks), "one that lived long is looked at as it is now"


@needs_account
def test_the_clock_of_a_machine_stands_while_it_waits_for_a_processor() -> None:
    cores = os.cpu_count() or 1
    with running(SPINS, 4 * cores) as pids:
        begun, clock = time.monotonic(), RunTime(pids[0])
        time.sleep(2)
        assert clock.now() < 0.7 * (time.monotonic() - begun), "four share each processor"
    with running("time.sleep(100)", 1) as pids:
        begun, clock, both = time.monotonic(), RunTime(pids[0]), RunTime(pids[0], ours=True)
        time.sleep(1)
        assert clock.now() > 0.5 * (time.monotonic() - begun)
        assert both.now() <= time.monotonic() - begun


def test_the_clock_of_a_machine_never_stands_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads wait at once, and a time-out has to come at last."""
    waits = [{"one": 5.0, "two": 1.0}, {"one": 305.0, "two": 1.5, "new": 7.0}]
    monkeypatch.setattr("r4l.vm.blame._waits", lambda _: iter(waits[0].items()))
    clock = RunTime(1)
    del waits[0]
    time.sleep(0.2)
    assert 0.02 <= clock.now() < 0.1
    assert clock.longest_delay() == 300


@needs_account
def test_a_machine_that_sleeps_is_not() -> None:
    begun = time.monotonic()
    with running("time.sleep(100)", 1) as pids:
        time.sleep(1)
        assert starved(pids[0], begun) == ""
    assert starved(pids[0], begun) == "", "one that is gone neither"


INT3 = "Oops: int3: 0000 [#1] SMP NOPTI"
IN_KERNEL = "RIP: 0010:enqueue_task_fair+0x1/0x400"
IN_MODULE = "RIP: 0010:cicv_read+0x1/0x40 [cicv]"


@pytest.mark.parametrize(
    ("lines", "accel", "cpus", "ours"),
    [
        ([INT3, IN_KERNEL], "tcg", 2, True),
        ([INT3], "tcg", 2, True),
        ([INT3, IN_MODULE], "tcg", 2, False),
        ([INT3, IN_KERNEL], "tcg", 1, False),
        ([INT3, IN_KERNEL], "kvm", 2, False),
        (["Oops: general protection fault: 0000 [#1] SMP NOPTI", IN_KERNEL], "tcg", 2, False),
        ([], "tcg", 2, False),
    ],
)
def test_a_breakpoint_that_the_emulator_may_have_kept(
    tmp_path: Path, lines: list[str], accel: str, cpus: int, ours: bool
) -> None:
    """A driver can print the same lines, so they alone excuse no error that can come of it: a killed program, a lost
    connection, a failed assertion."""
    log = KernelLog(tmp_path / "console.log")
    for number, line in enumerate(lines):
        log.feed(f"<4>[    1.00000{number}] {line}")
    log.finish()
    assert len(log.complaints()) == bool(lines)
    vm: Any = SimpleNamespace(begun=1.0, machine=SimpleNamespace(accel=accel, cpus=cpus), klog=log, running=False)
    assert bool(stray_breakpoint(vm)) == ours
    for error in (VerdictError("the kernel complained"), AssertionError(), GuestGone("it is gone")):
        assert not host_fault(error, vm)
