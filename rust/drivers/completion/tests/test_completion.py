# SPDX-License-Identifier: MIT
"""A reader of /dev/completion sleeps until a writer comes. Run with `r4l test`.

The order of events never depends on time: a reader counts as waiting when the kernel shows it asleep in the driver, and
as released when it has ended.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import r4l
from r4l.arch import architecture
from r4l.guest import GuestProcess, Terminal
from r4l.testing import Leaks

pytestmark = [pytest.mark.row("C8"), pytest.mark.timeout(300)]

NAME = "r4l_completion"
DEVICE = "/dev/completion"
PATIENCE = 60.0
"""Seconds for events that must happen; long enough that only a missing event takes as long."""


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"it never came: {what}"
        time.sleep(0.02)


def sleeps_in_the_driver(vm: r4l.VM, pid: int) -> bool:
    """True if a task sleeps in the driver and a signal can wake it: S in ps(1), not D.

    The stack begins with the waiting function. Functions of the scheduler, including the waits of a completion, are
    left out (proc_pid_stack in fs/proc/base.c, in_sched_functions).
    """
    said = vm.run(f"cat /proc/{pid}/stat /proc/{pid}/stack").stdout
    stat, _, stack = said.partition("\n")
    return stat.rpartition(")")[2].split()[:1] == ["S"] and f"[{NAME}]" in stack.partition("\n")[0]


class Reader:
    """A program in the guest that waits in the driver."""

    def __init__(self, vm: r4l.VM, *command: str) -> None:
        self.vm = vm
        self.process: GuestProcess = vm.popen(command or ["cat", DEVICE])
        wait_for("the program", lambda: self.process.pid is not None or self.process.poll() is not None)
        wait_for("a reader that sleeps in the driver", self.sleeps)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def sleeps(self) -> bool:
        """True while it waits."""
        assert self.process.poll() is None, self.process.result
        return sleeps_in_the_driver(self.vm, self.pid)

    def ended(self) -> r4l.Completed:
        """Wait for its end."""
        done = self.process.wait_done(PATIENCE)
        assert done is not None, f"it was not released: {self.process.title}"
        return done

    def text(self) -> str:
        """Return all that it has read."""
        return self.ended().checked().stdout


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    """The virtual machine with the module loaded."""
    vm.insmod(module)
    return vm


@pytest.fixture
def calls(vm: r4l.VM, kernel: r4l.Kernel, tmp_path: Path) -> str:
    """Path in the guest of the compiled `calls.c`."""
    source = Path(__file__).with_name("calls.c")
    program = tmp_path / "calls"
    compiler = f"{architecture(kernel.arch).gnu}-gcc"
    grant = r4l.Grant("test", writes=(tmp_path,), reads=(source.parent,))
    kernel.toolchain.run([compiler, "-static", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program, source], grant)
    vm.put(program, "/tmp/calls", 0o755)
    return "/tmp/calls"


def write(vm: r4l.VM, text: str) -> None:
    vm.run(["sh", "-c", f'printf %s "$1" > {DEVICE}', "sh", text], check=True)


def test_a_reader_sleeps_until_a_writer_comes(loaded: r4l.VM) -> None:
    reader = Reader(loaded)
    assert reader.sleeps(), "it goes on to"
    write(loaded, "come")
    assert reader.text() == "come"


def test_a_write_that_comes_first_counts_too(loaded: r4l.VM) -> None:
    for text in ("one", "two"):
        write(loaded, text)
    assert loaded.run(f"cat {DEVICE}", check=True).stdout == "one"
    assert loaded.run(f"cat {DEVICE}", check=True).stdout == "two"
    reader = Reader(loaded)
    write(loaded, "three")
    assert reader.text() == "three"


def test_each_write_releases_the_one_that_waited_longest(loaded: r4l.VM) -> None:
    readers = [Reader(loaded) for _ in range(3)]
    for number, reader in enumerate(readers):
        write(loaded, f"write {number}")
        assert reader.text() == f"write {number}"
        for other in readers[number + 1 :]:
            wait_for("one who was not meant and waits on", other.sleeps)


def test_all_are_released_at_once_and_the_next_round_begins(loaded: r4l.VM) -> None:
    for _ in range(3):
        readers = [Reader(loaded) for _ in range(3)]
        write(loaded, "all\n")
        assert [reader.text() for reader in readers] == ["all\n"] * 3
    late = Reader(loaded)
    write(loaded, "late")
    assert late.text() == "late"


def test_it_is_armed_again_for_each_round(loaded: r4l.VM) -> None:
    for number in range(10):
        reader = Reader(loaded)
        write(loaded, f"round {number}")
        assert reader.text() == f"round {number}"


def test_a_second_opening_does_not_lose_the_first_ones_wake_up(loaded: r4l.VM, calls: str) -> None:
    """Students initialised the completion in open, which dropped its waiters from the list."""
    first = Reader(loaded)
    assert loaded.run([calls, DEVICE, "poll"], check=True).stdout == "poll: out\n", "opens it, and waits for nothing"
    second = Reader(loaded)
    assert first.sleeps()
    write(loaded, "to the first")
    assert first.text() == "to the first"
    write(loaded, "to the second")
    assert second.text() == "to the second"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_the_wait_and_loses_nothing(loaded: r4l.VM, number: signal.Signals) -> None:
    interrupted, other = Reader(loaded), Reader(loaded)
    loaded.run(f"kill -{number.name.removeprefix('SIG')} {interrupted.pid}", check=True)
    assert interrupted.ended().signal == number
    write(loaded, "for who is left")
    assert other.text() == "for who is left"


def test_control_c_on_a_terminal_ends_the_wait(loaded: r4l.VM) -> None:
    with loaded.popen(["cat", DEVICE], terminal=Terminal()) as process:
        wait_for("the program", lambda: process.pid is not None)
        wait_for("a reader that sleeps in the driver", lambda: sleeps_in_the_driver(loaded, process.pid or 0))
        process.write(b"\x03")
        done = process.wait_done(PATIENCE)
    assert done is not None
    assert done.signal == signal.SIGINT


def test_a_wait_is_over_after_the_time_out(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module, timeout_ms=100)
    for _ in range(2):
        done = vm.run(f"cat {DEVICE}")
        assert done.exit_code == 1
        assert "timed out" in done.stderr
    write(vm, "not too late")
    assert vm.run(f"cat {DEVICE}", check=True).stdout == "not too late"


def test_a_writer_who_comes_before_the_time_out(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module, timeout_ms=3_600_000)
    reader, interrupted = Reader(vm), Reader(vm)
    write(vm, "in time")
    assert reader.text() == "in time"
    vm.run(f"kill -INT {interrupted.pid}", check=True)
    assert interrupted.ended().signal == signal.SIGINT


def test_without_waiting(loaded: r4l.VM, calls: str) -> None:
    words = ["nonblock", "read", "poll", "hello", "poll", "read", "poll", "read", "read", "poll"]
    assert loaded.run([calls, DEVICE, *words], check=True).stdout.splitlines() == [
        "nonblock: 0",
        "read: EAGAIN",
        "poll: out",
        "hello: 5",
        "poll: in out",
        'read: 5 "hello"',
        "poll: in out",  # for the end of the file nobody waits
        'read: 0 ""',  # which comes once
        "read: EAGAIN",
        "poll: out",
    ]


def test_poll_waits_for_a_writer_too(loaded: r4l.VM, calls: str) -> None:
    with loaded.popen([calls, DEVICE, "poll", "wait", "nonblock", "read"]) as process:
        # The first answer comes from a file that is open; whether the write or the second poll comes first is all one.
        wait_for("the first poll", lambda: process.stdout.value() == b"poll: out\n")
        write(loaded, "come")
        done = process.wait_done(PATIENCE)
    assert done is not None
    assert done.checked().stdout == 'poll: out\nwait: 1\nnonblock: 0\nread: 4 "come"\n'


def test_bounds(loaded: r4l.VM, calls: str) -> None:
    words = ["long", "hello", "short", "short", "again", "bad", "nonblock", "read"]
    assert loaded.run([calls, DEVICE, *words], check=True).stdout.splitlines() == [
        "long: EMSGSIZE",
        "hello: 5",
        'short: 1 "h"',
        'short: 0 ""',
        "again: 5",
        "bad: EFAULT",
        "nonblock: 0",
        "read: EAGAIN",
    ]
    kept = ["x"] * 64
    lines = loaded.run([calls, DEVICE, *kept, "x", "all", "nonblock", "read"], check=True).stdout.splitlines()
    assert lines == ["x: 1"] * 64 + ["x: ENOSPC", "all: 3", "nonblock: 0", "read: EAGAIN"]


def test_it_cannot_be_unloaded_under_a_reader(loaded: r4l.VM) -> None:
    reader = Reader(loaded)
    refused = loaded.run(f"rmmod {NAME}")
    assert refused.exit_code != 0
    assert "Resource temporarily unavailable" in refused.stderr, "EWOULDBLOCK: it is in use (delete_module(2))"
    write(loaded, "go")
    assert reader.text() == "go"
    loaded.rmmod(NAME)
    assert loaded.run(f"test -e {DEVICE}").exit_code == 1


@pytest.mark.parametrize(("rounds", "times"), [(2, 5), pytest.param(2, 20, marks=pytest.mark.thorough)])
def test_it_leaves_nothing_behind(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks, rounds: int, times: int) -> None:
    def reload(times: int) -> None:
        for _ in range(times):
            vm.insmod(module)
            # Read, released with all, left unread, and given up.
            vm.run(f"echo a > {DEVICE}; cat {DEVICE}; echo all > {DEVICE}; echo b > {DEVICE}", check=True)
            vm.rmmod(NAME)

    leaks.across_rounds(reload, rounds=rounds, times=times)


def test_many_readers_and_writers(loaded: r4l.VM, calls: str) -> None:
    """Each message reaches one reader, while signals restart the system call."""
    done = loaded.run([calls, DEVICE, "stress", "8", "8", "250"], timeout=240)
    assert done.stdout == "2000 messages, 0 wrong\n", done.stderr
    assert done.exit_code == 0


@pytest.mark.thorough
def test_what_the_kits_completion_says_of_each_call(vm: r4l.VM, kernel: r4l.Kernel) -> None:
    vm.insmod(r4l.Module(Path(__file__).parent / "waits").build(kernel))
    vm.klog.wait_for("and once")
    lines = [record.text for record in vm.klog.records() if record.text.startswith("waits: ")]
    assert [line.removeprefix("waits: ") for line in lines if "taint" not in line and "verification" not in line] == [
        "new: false false",
        "not done: TimedOut",
        "not done: TimedOut",
        "three of four: true",
        "the fourth: true",
        "a fifth: false false",
        "all: true true",
        "all: true true",
        "again: false true",
        "and once: true false",
    ]
