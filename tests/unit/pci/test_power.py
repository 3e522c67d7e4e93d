# SPDX-License-Identifier: MIT
"""Power states (PCI Power Management 1.2, 3.2.4 and 5.4), and the bit Bus Master for messages."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

import pytest
from tests.unit.pci.client import Client, eventfd, rung

from r4l.pci import (
    Bar,
    Device,
    Express,
    Msi,
    Msix,
    PowerManagement,
    Register,
    Reset,
    SteppedTime,
    Vendor,
    Word,
    happened,
    interrupt,
)
from r4l.pci.capabilities import Capability
from r4l.pci.definition import ModelType
from r4l.pci.protocol import Command, Irq, IrqSet

Serve = Callable[[Device], Client]

PM = 0x40
CONTROL = PM + 4


class Sleeper(Device):
    """A second after GO it writes to memory and interrupts."""

    vendor_id = 0x1234
    bars = (Bar(0x1000), Bar(0x20, io=True))
    clock = SteppedTime
    capabilities = (PowerManagement(keeps=False), Msi(), Vendor(b"a", writable=b"\xff"))

    GO = Register(0x00)
    PORT = Register(0x00, bar=1)

    @GO.on_write
    def go(self, old: Word, new: Word) -> None:
        self.after(1, self.tick)

    def tick(self) -> None:
        self.raise_irq()
        self.dma.write(0x1000, b"x")


def with_capabilities(*capabilities: Capability) -> Device:
    """Return such a device with other capabilities."""
    return ModelType("Other", (Sleeper,), {"capabilities": capabilities})()  # type: ignore[no-any-return]


class Keeper(Sleeper):
    """Keeps its registers, and has all states."""

    capabilities = (PowerManagement(d1=True, d2=True, keeps=True), Msi(), Vendor(b"a", writable=b"\xff"))


@pytest.fixture
def memory() -> int:
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 0x1000)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd


@pytest.mark.parametrize("irq", [Irq.INTX, Irq.MSI])
@pytest.mark.parametrize("state", [1, 2, 3])
def test_a_device_below_d0_answers_and_sends_nothing(serve: Serve, memory: int, irq: Irq, state: int) -> None:
    device, fd = Keeper(), eventfd()
    client = serve(device)
    client.irq(irq, [fd])
    client.map(0x1000, 0x1000, memory)
    client.master()
    client.write(0, 5)
    client.set_config(CONTROL, state)
    assert (client.read(0), client.read(0, region=1), device.power_state) == (0xFFFFFFFF, 0xFFFFFFFF, state)
    client.write(0, 7)
    assert client.config(0) & 0xFFFF == 0x1234
    device.advance(1)
    assert (rung(fd), os.pread(memory, 1, 0), device.errors) == (0, b"\0", [])
    texts = [one.text for one in device.trace.find(happened("refused"))]
    name = "D3hot" if state == 3 else f"D{state}"
    assert texts[-1] == f"DMA at 0x1000, and the device is in {name}"
    if irq is Irq.MSI:
        assert texts[0] == f"interrupt 0 by MSI, and the device is in {name}"
        assert interrupt() not in device.trace
    else:
        assert [one.text for one in device.trace.find(interrupt())] == ["INTX held back"]
    client.set_config(CONTROL, 0)
    assert client.read(0) == 5
    assert rung(fd) == (irq is Irq.INTX), "the line is high still"
    device.raise_irq()
    device.dma.write(0x1000, b"y")
    assert (rung(fd), os.pread(memory, 1, 0)) == (int(irq is Irq.MSI), b"y")


def test_the_way_back_from_d3hot_resets_the_configuration_space_too(serve: Serve) -> None:
    device = Sleeper()
    client = serve(device)
    vendor = device.config.places[-1] + 3
    client.write(0, 5)
    client.master()
    client.set_config(0x10, 0xFEBF0000, 4)
    client.set_config(vendor, 0x55, 1)
    for state in (3, 0):
        client.set_config(CONTROL, state)
    seen = client.config(4, 2), client.config(0x10), client.config(vendor, 1), client.read(0), client.config(CONTROL, 2)
    assert seen == (0, 0, ord("a"), 0, 0)
    assert not device.may_master
    assert device.trace.find(happened("reset"))[-1].text == Reset.POWER_STATE.value
    device = Keeper()
    client = serve(device)
    client.write(0, 5)
    client.master()
    client.set_config(0x10, 0xFEBF0000, 4)
    for state in (3, 0):
        client.set_config(CONTROL, state)
    assert (client.config(4, 2), client.config(0x10), client.read(0)) == (4, 0xFEBF0000, 5)
    assert device.may_master


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("state", [1, 2])
def test_a_state_that_there_is_not_is_not_entered(serve: Serve, state: int, width: int) -> None:
    device = Sleeper()
    client = serve(device)
    client.set_config(CONTROL, state | 0x100 * (width > 1), width)
    assert (client.config(CONTROL, 2), client.read(0)) == (0x100 * (width > 1), 0)
    client.set_config(CONTROL, 3, width)
    client.set_config(CONTROL, state, width)
    assert (client.read(0), device.power_state) == (0xFFFFFFFF, 3)
    assert device.trace.count(happened("reset")) == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_d3hot_is_left_with_a_reset_for_each_state(serve: Serve, keeps: bool) -> None:
    device = with_capabilities(PowerManagement(d1=True, d2=True, keeps=keeps))
    client = serve(device)
    client.set_config(CONTROL, 3)
    client.set_config(CONTROL, 1)
    assert client.config(CONTROL, 2) & 3 == (1 if keeps else 0)
    assert device.trace.count(happened("reset")) == (1 if keeps else 2)


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("reset", ["power state", "bus", "function"])
def test_the_bits_of_a_pme(serve: Serve, cold: bool, reset: str) -> None:
    device = with_capabilities(PowerManagement(pme=0x18 if cold else 0x08, keeps=False), Express())
    client = serve(device)
    device.config["PM_CONTROL"] |= 0x8000
    client.set_config(CONTROL, 0x100)
    assert client.config(CONTROL, 2) == 0x8100, "a zero does not clear PME_Status"
    client.set_config(CONTROL, 0x8100)
    assert client.config(CONTROL, 2) == 0x0100
    device.config["PM_CONTROL"] |= 0x8000
    if reset == "power state":
        client.set_config(CONTROL, 0x103)
        client.set_config(CONTROL, 0x100)
    elif reset == "bus":
        client.call(Command.DEVICE_RESET)
    else:
        client.set_config(device.config.places[1] + 8, 0x8000)
    assert client.config(CONTROL, 2) == (0x8100 if cold else 0)
    device.unplugged()
    device.plugged()
    assert device.config["PM_CONTROL"] == 0


def test_a_late_write_meets_a_device_that_sleeps(serve: Serve) -> None:
    device = Keeper()
    client = serve(device)
    device.faults.add("late-write@GO#1 seconds=1")
    client.write(0, 5)
    client.set_config(CONTROL, 3)
    device.advance(1)
    client.set_config(CONTROL, 0)
    assert client.read(0) == 0


class Messages(Device):
    vendor_id = 0x1234
    bars = (Bar(0x1000),)
    capabilities = (Msi(), Msix(vectors=2, table=0x800))


def test_a_message_needs_the_bus_master(serve: Serve) -> None:
    device, fd = Messages(), eventfd()
    client = serve(device)
    client.irq(Irq.MSI, [fd])
    device.faults.add("lost-interrupt#1")
    device.raise_irq()
    assert (rung(fd), device.interrupts.pending, device.trace.count(interrupt())) == (0, set(), 0)
    assert "interrupt 0 by MSI, and the driver has not made" in device.trace.find(happened("refused"))[0].text
    client.master()
    client.read(0)
    assert rung(fd) == 0
    device.raise_irq()
    assert (rung(fd), device.faults.came) == (0, {"lost-interrupt#1": 1})
    device.raise_irq()
    assert rung(fd) == 1
    client.set_config(4, 0)
    client.read(0)
    device.raise_irq()
    assert rung(fd) == 0


def test_a_message_of_msix_is_pending_until_the_device_may_send_it(serve: Serve) -> None:
    device, fd = Messages(), eventfd()
    client = serve(device)
    client.irq(Irq.MSIX, [fd])
    device.raise_irq()
    device.raise_irq()
    assert (rung(fd), client.read(0x820, 8)) == (0, 1)
    (event,) = device.trace.find(interrupt())
    assert event.text == "MSIX pending, and the driver has not made the device bus master (pci_set_master)"
    client.master()
    assert (client.read(0x820, 8), rung(fd)) == (0, 1)


def test_a_pending_message_waits_for_the_bus_master(serve: Serve) -> None:
    device, fd = Messages(), eventfd()
    client = serve(device)
    client.set_config(device.config.places[1] + 2, 0x8001)
    client.master()
    client.read(0)
    device.raise_irq(1)
    client.set_config(4, 0)
    client.irq(Irq.MSIX, [fd], start=1)
    assert (rung(fd), device.interrupts.pending) == (0, {1})
    client.master()
    client.read(0)
    assert (rung(fd), device.interrupts.pending) == (1, set())
    client.irq(Irq.MSIX, flags=IrqSet.DATA_NONE | IrqSet.TRIGGER, count=0)
