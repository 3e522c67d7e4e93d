# SPDX-License-Identifier: MIT
"""Lab 6. A reader waits if the kernel shows it asleep in the driver, and is released when it has ended."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable

import pytest

import r4l
from r4l.camp.labs import Missed, see
from r4l.guest import GuestProcess
from r4l.testing import LeakFound, Leaks

DEVICE = "/dev/completion"
MODULE = "r4l_completion"
PATIENCE = 10.0
"""Seconds for events that take milliseconds."""


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    vm.insmod(module)
    return vm


def comes(condition: Callable[[], bool]) -> bool:
    """True if a condition holds now or soon."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def state(vm: r4l.VM, pid: int | None) -> str:
    """Return `S in the driver`, or the actual state."""
    said = vm.run(f"cat /proc/{pid}/stat /proc/{pid}/stack 2>&1")
    stat, _, stack = said.stdout.partition("\n")
    letter = stat.rpartition(")")[2].split()[:1]
    where = " in the driver" if f"[{MODULE}]" in stack else ""
    return f"{letter[0]}{where}" if said.exit_code == 0 and letter else "ended"


def stack_of(vm: r4l.VM, pid: int | None) -> str:
    """Return the place in the kernel where a task sleeps."""
    return vm.run(f"cat /proc/{pid}/stack").stdout


def reader(vm: r4l.VM, what: str = "a reader, cat /dev/completion, before any write") -> GuestProcess:
    """Start a reader that sleeps."""
    process = vm.popen(["cat", DEVICE])
    comes(lambda: process.pid is not None or process.poll() is not None)
    slept = comes(lambda: process.poll() is not None or state(vm, process.pid) == "S in the driver")
    if process.poll() is not None:
        done = process.wait_done(1)
        assert done
        raise Missed(what, f"it ended: {(done.stderr or done.stdout).strip() or 'with nothing to read'}", "it sleeps")
    see(what, state(vm, process.pid), "S in the driver (it sleeps, and a signal can wake it)", slept)
    return process


def sleeps_on(vm: r4l.VM, process: GuestProcess, what: str) -> None:
    see(what, "ended" if process.poll() is not None else state(vm, process.pid), "S in the driver")


def write(vm: r4l.VM, text: str) -> None:
    done = vm.run(f"printf %s {text} > {DEVICE}")
    see(f"printf {text} > {DEVICE}", done.stderr.strip() or "no error", "no error")


def text_of(process: GuestProcess, what: str) -> str:
    """Return all that a reader has read."""
    done = process.wait_done(PATIENCE)
    if done is None:
        raise Missed(what, "it still sleeps", "it is released")
    return done.stdout.strip()


def word() -> str:
    return secrets.token_hex(6)


@pytest.mark.checkpoint("loads")
def test_loads(loaded: r4l.VM) -> None:
    see(f"{DEVICE} is a character device", loaded.run(f"test -c {DEVICE}").exit_code == 0, True)


@pytest.mark.checkpoint("sleeps")
def test_sleeps(loaded: r4l.VM) -> None:
    process = reader(loaded)
    sleeps_on(loaded, process, "the reader, a moment later")


@pytest.mark.checkpoint("released")
def test_released(loaded: r4l.VM) -> None:
    process, said = reader(loaded), word()
    write(loaded, said)
    see("what the reader reads when a writer has come", text_of(process, "the reader after a write"), said)


@pytest.mark.checkpoint("poll")
def test_poll(loaded: r4l.VM) -> None:
    # With -t the shell asks by poll(2) before it reads, and it reads byte by byte: the first is all that it gets.
    process, said = loaded.popen(f"read -t 60 line < {DEVICE}; echo $line"), word()[0]
    what = "a reader in poll(2) (read -t, in sh)"
    if not comes(lambda: process.poll() is not None or "poll" in stack_of(loaded, process.pid)):
        raise Missed(what, f"its kernel stack: {stack_of(loaded, process.pid)}", "it waits in poll")
    write(loaded, said)
    see(f"what {what} reads when a writer has come", text_of(process, f"{what}, after a write"), said)


@pytest.mark.checkpoint("first")
def test_first(loaded: r4l.VM) -> None:
    said = word()
    write(loaded, said)
    done = loaded.popen(["cat", DEVICE])
    see("what a reader reads that comes after the writer", text_of(done, "a reader that comes after the write"), said)


@pytest.mark.checkpoint("each")
def test_each(loaded: r4l.VM) -> None:
    first, second = reader(loaded), reader(loaded, "a second reader")
    words = word(), word()
    write(loaded, words[0])
    see("what the first reader reads", text_of(first, "the first reader after one write"), words[0])
    sleeps_on(loaded, second, "the second reader after one write")
    third = reader(loaded, "a reader that comes after the first write was read")
    write(loaded, words[1])
    see("what the second reader reads", text_of(second, "the second reader after the second write"), words[1])
    sleeps_on(loaded, third, "the third reader after two writes")


@pytest.mark.checkpoint("shared")
def test_shared(loaded: r4l.VM) -> None:
    process = reader(loaded)
    loaded.run(f"exec 3<>{DEVICE}", check=True)
    other, said = reader(loaded, "another reader with an opening of its own"), word()
    write(loaded, said)
    what = "the first reader, after the device was opened again and written to (was its completion made anew?)"
    see("what the first reader reads", text_of(process, what), said)
    sleeps_on(loaded, other, "the other reader")


@pytest.mark.checkpoint("signal")
def test_signal(loaded: r4l.VM) -> None:
    process = reader(loaded)
    process.signal(signal.SIGINT)
    see("a reader that gets SIGINT (Ctrl-C)", "ended" if process.wait_done(PATIENCE) else "it still sleeps", "ended")
    said = word()
    later = reader(loaded, "the next reader")
    write(loaded, said)
    see("what the next reader reads", text_of(later, "the next reader after a write"), said)


@pytest.mark.checkpoint("timeout")
def test_timeout(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    vm.insmod(module, timeout_ms=300)
    process = vm.popen(["cat", DEVICE])
    done = process.wait_done(PATIENCE)
    seen = "it still sleeps" if done is None else done.stderr.strip() or f"no error; it read {done.stdout!r}"
    wanted = "Operation timed out / Connection timed out (ETIMEDOUT)"
    see("cat with timeout_ms=300 and no writer", seen, wanted, "timed out" in seen)
    said = word()
    write(vm, said)
    later = vm.popen(["cat", DEVICE])
    see("what a reader reads in time", text_of(later, "a reader after a write, with timeout_ms=300"), said)


@pytest.mark.checkpoint("all")
def test_all(loaded: r4l.VM) -> None:
    waiting = [reader(loaded, f"reader {number}") for number in (1, 2, 3)]
    write(loaded, "all")
    for number, process in enumerate(waiting, 1):
        see(f"what reader {number} reads after `all`", text_of(process, f"reader {number} after `all`"), "all")
    later, said = reader(loaded, "a reader of the next round, after `all`"), word()
    write(loaded, said)
    see("what the reader of the next round reads", text_of(later, "the reader of the next round after a write"), said)


@pytest.mark.checkpoint("unload")
def test_unload(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks) -> None:
    try:
        with leaks():
            vm.insmod(module)
            process = reader(vm)
            refused = vm.run(f"rmmod {MODULE}").stderr.strip()
            see(
                "rmmod while a reader waits",
                refused or "it is unloaded",
                "Resource temporarily unavailable",
                bool(refused),
            )
            process.signal(signal.SIGKILL)
            see("the reader after SIGKILL", "ended" if process.wait_done(PATIENCE) else "it still sleeps", "ended")
            vm.rmmod(MODULE)
    except LeakFound as error:
        raise Missed("what is left after rmmod", error.cause, "nothing") from None
