# SPDX-License-Identifier: MIT
"""Lab 11. The device is `digest.py` of the starter; the checks see each access to it, and break it on purpose."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import r4l
from r4l.camp.labs import Missed, see
from r4l.guest import GuestProcess
from r4l.pci import dma_write, read, write
from r4l.pci.load import model_class
from r4l.testing import LeakFound, Leaks

Digest: Any = model_class(f"{Path(__file__).parents[1] / 'starter/digest.py'}:Digest")
DRAW = random.SystemRandom()
MODULE = "r4l_digest"
FILE = "/sys/kernel/debug/digest/sha256"
PATIENCE = 10.0
"""Seconds within which a driver has to give up. The handout says one."""

pytestmark = pytest.mark.machine(devices=[Digest])


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    vm.insmod(module)
    return vm


def message(length: int = 0) -> bytes:
    """Random bytes."""
    return DRAW.randbytes(length or DRAW.randrange(100, 1000))


def begun(vm: r4l.VM, data: bytes) -> GuestProcess:
    """Start one write(2) of a message; the process prints an error, or else what the file gives then."""
    vm.put(data, "/tmp/message")
    return vm.popen(f"dd if=/tmp/message of={FILE} bs=4096 2>&1 | grep ^dd: || cat {FILE}")


def said(process: GuestProcess, what: str) -> str:
    """Return the line that a process has printed."""
    done = process.wait_done(PATIENCE)
    if done is None:
        raise Missed(what, f"no answer for {PATIENCE:g} s", "a digest or an error")
    return done.stdout.strip().rpartition(": ")[2] or "nothing"


def computed(vm: r4l.VM, data: bytes, what: str) -> None:
    """Check a message's digest."""
    see(what, said(begun(vm, data), what), hashlib.sha256(data).hexdigest())


def refused(vm: r4l.VM, words: str, what: str, process: GuestProcess | None = None) -> None:
    """Check that a message ends with an error."""
    seen = said(process or begun(vm, message()), what)
    see(what, seen, words, any(word in seen.lower() for word in words.lower().split(" or ")))


def comes(condition: Callable[[], object]) -> bool:
    """True if a condition holds now or soon."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def at_work(vm: r4l.VM, device: Any, seconds: float, data: bytes) -> GuestProcess:
    """Start a computation that takes some time, and wait until the device computes."""
    device.seconds = seconds
    process = begun(vm, data)
    if not comes(lambda: device.STATUS.busy):
        seen = f"CONTROL {int(device.CONTROL):#x}, STATUS {int(device.STATUS):#x}"
        raise Missed("the device after a write to the file", seen, "it computes (STATUS.busy)")
    return process


def bound(vm: r4l.VM, device: Any) -> bool:
    return vm.run(f"test -e /sys/bus/pci/devices/{device.address}/driver").exit_code == 0


@pytest.mark.checkpoint("loads")
def test_loads(loaded: r4l.VM, device: Any) -> None:
    see("the driver is bound to the device", bound(loaded, device), True)
    see(f"{FILE} is there", loaded.run(f"test -f {FILE}").exit_code == 0, True)


@pytest.mark.checkpoint("identity")
@pytest.mark.parametrize("fault", ["all-ones@ID times=0", "flipped-bit@ID times=0 bits=0x00400000"])
def test_identity(vm: r4l.VM, module: r4l.BuiltModule, device: Any, fault: str) -> None:
    device.faults.add(fault)
    vm.insmod(module)
    vm.klog.check()
    kind = "all ones: nobody answers" if fault.startswith("all") else "d12e0001: another device"
    see(f"the driver is bound to a device whose ID reads as {kind}", bound(vm, device), False)
    device.faults.clear()
    vm.run(f"echo {device.address} > /sys/bus/pci/drivers/{MODULE}/bind")
    see("the driver is bound, once the ID is right and it was asked again (bind)", bound(vm, device), True)


@pytest.mark.checkpoint("digest")
def test_digest(loaded: r4l.VM) -> None:
    for length in (3, 4096, *DRAW.sample(range(1, 4096), 4)):
        computed(loaded, message(length), f"the digest of {length} random bytes")


@pytest.mark.checkpoint("interrupt")
def test_interrupt(loaded: r4l.VM, device: Any) -> None:
    data = message()
    process = at_work(loaded, device, 0.5, data)
    # A neighbour on the line interrupts: the handler is called, and finds nothing of its own.
    device.pulse()
    what = "the digest, when another device interrupted on the same line before it was done"
    see(what, said(process, what), hashlib.sha256(data).hexdigest())
    asked = device.trace.count(read(Digest.STATUS))
    what = "reads of STATUS during a computation of half a second (the driver sleeps until the interrupt)"
    see(what, asked, "10 or fewer", asked <= 10)
    what = "the interrupt is acknowledged (a one is written to STATUS.done)"
    see(what, write(Digest.STATUS, done=1) in device.trace, True)
    see("the level of INTA# afterwards", "high" if device.interrupts.level else "low", "low")


@pytest.mark.checkpoint("errors")
def test_errors(loaded: r4l.VM, device: Any) -> None:
    computed(loaded, message(), "a digest before the error")
    device.faults.add("computing-error@CONTROL")
    what = "what a write gives when the device reports STATUS.error"
    refused(loaded, "Input/output error or I/O error", what)
    see(f"cat {FILE} after the error", loaded.run(f"cat {FILE}").stdout.strip() or "nothing", "nothing")
    computed(loaded, message(), "the digest after the error")


@pytest.mark.checkpoint("timeout")
def test_timeout(loaded: r4l.VM, device: Any) -> None:
    device.faults.add("lost-interrupt")
    refused(loaded, "timed out", "what a write gives when the interrupt is lost")
    computed(loaded, message(), "the digest after that")


@pytest.mark.checkpoint("late")
def test_late(loaded: r4l.VM, device: Any) -> None:
    late = message()
    # So late that it would come after all that follows.
    process = at_work(loaded, device, 4 * PATIENCE, late)
    refused(loaded, "timed out", "what a write gives when the device takes too long", process)
    what = "STATUS.busy after the time-out (is the late computation stopped, before it writes to memory?)"
    see(what, int(device.STATUS.busy), 0)
    device.seconds = 0.002
    computed(loaded, message(), "the digest after that")
    digest = hashlib.sha256(late).digest()
    stored = [event for event in device.trace.find(dma_write()) if event.data == digest]
    see("late digests that the device has stored in memory that is no longer theirs", len(stored), 0)


@pytest.mark.checkpoint("pulled")
def test_pulled(loaded: r4l.VM, device: Any) -> None:
    process = at_work(loaded, device, 0.8, message())
    device.pull()
    what = "what a write gives when the device is pulled out meanwhile"
    refused(loaded, "timed out or no such device or I/O error or input/output error", what, process)
    refused(loaded, "timed out or no such device or I/O error or input/output error", "what the next write gives")
    loaded.rmmod(MODULE)


@pytest.mark.checkpoint("unload")
def test_unload(vm: r4l.VM, module: r4l.BuiltModule, device: Any, leaks: Leaks) -> None:
    try:
        with leaks():
            vm.insmod(module)
            computed(vm, message(), "a digest")
            vm.rmmod(MODULE)
    except LeakFound as error:
        raise Missed("what is left after rmmod", error.cause, "nothing") from None
    see("CONTROL.interrupt after rmmod: interrupts that nobody handles", int(device.CONTROL.interrupt), 0)
    vm.insmod(module)
    process = at_work(vm, device, 0.5, message())
    vm.rmmod(MODULE)
    see("a writer that waited during rmmod", "ended" if process.wait_done(PATIENCE) else "it still waits", "ended")
    see("STATUS.busy after rmmod: a device that writes to memory that is free", int(device.STATUS.busy), 0)
