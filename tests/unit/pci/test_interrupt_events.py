# SPDX-License-Identifier: MIT
"""An interrupt is one event, with one number, in the trace, for faults and in a sweep's cells; and what cannot be
delivered is told as such."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from tests.unit.pci.client import Client, eventfd, rung

from r4l.pci import RO, WO, Bar, Device, Fault, Msi, Msix, Register, SteppedTime, Word, happened, interrupt
from r4l.pci.protocol import Irq, IrqSet
from r4l.sweep.cells import EventPlace
from r4l.sweep.life import Happening, Life

Serve = Callable[[Device], Client]


class Source(Device):
    """GO raises the interrupt of a vector, ACK takes it back."""

    vendor_id = 0x1234
    bars = (Bar(0x1000),)
    clock = SteppedTime

    GO = Register(0x00)
    STATUS = Register(0x04, access=RO)
    ACK = Register(0x08, access=WO)

    @GO.on_write
    def go(self, old: Word, new: Word) -> None:
        self.STATUS = 1
        self.raise_irq(int(new))

    @ACK.on_write
    def ack(self, old: Word, new: Word) -> None:
        self.STATUS = 0
        self.lower_irq()


class Messages(Source):
    capabilities = (Msi(vectors=4),)


class Table(Source):
    capabilities = (Msix(vectors=4, table=0x800),)


def go(client: Client, *vectors: int) -> None:
    """Raise the interrupts, and wait until they are."""
    for vector in vectors:
        client.write(0, vector)
    client.read(4)


def acknowledge(client: Client) -> None:
    """Do what a handler and QEMU do at the end of an interrupt."""
    client.write(8, 1)
    client.read(4)
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)


def intx(serve: Serve, *faults: str) -> tuple[Source, Client, int]:
    """Return a device with INTx, its client and the eventfd."""
    device, fd = Source(), eventfd()
    client = serve(device)
    client.irq(Irq.INTX, [fd])
    device.faults.add(*faults)
    return device, client, fd


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_late_interrupt_leaves_intx_as_the_model_has_it_by_then(serve: Serve, acknowledged: bool) -> None:
    device, client, fd = intx(serve, "late-interrupt#1 seconds=1")
    go(client, 0)
    if acknowledged:
        acknowledge(client)
    assert (rung(fd), device.interrupts.level) == (0, False)
    device.advance(1)
    assert (rung(fd), device.interrupts.level) == (1, not acknowledged)
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)
    assert rung(fd) == (0 if acknowledged else 1)
    assert client.config(6, 2) >> 3 & 1 == (not acknowledged), "Interrupt Status"


def test_a_late_interrupt_of_a_model_that_was_reset_does_not_come(serve: Serve) -> None:
    device, client, fd = intx(serve, "late-interrupt#1 seconds=1")
    go(client, 0)
    device.reset()
    device.advance(1)
    assert (rung(fd), device.interrupts.level, device.interrupts.wanted) == (0, False, False)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_intx_that_is_high_already_is_no_further_interrupt(serve: Serve, nth: int) -> None:
    def drive(client: Client) -> None:
        go(client, 0, 0, 0)
        acknowledge(client)
        go(client, 0, 0)

    device, client, fd = intx(serve)
    drive(client)
    assert device.trace.count(interrupt()) == 2
    assert counted(device) == [("interrupt", "0", 2)]
    device, client, fd = intx(serve, f"lost-interrupt@0#{nth}")
    seen = 0
    for vectors in ((0,), (0,)):
        go(client, *vectors)
        seen += rung(fd)
        acknowledge(client)
    assert (sum(device.faults.came.values()), seen) == ((1, 1) if nth < 3 else (0, 2))


def counted(device: Device) -> list[tuple[str, str, int]]:
    """Event, name and number of the places of interrupts in a life's cells."""
    events = [Happening("interrupt", None, 0, 0, one.value, "") for one in device.trace if one.kind == "interrupt"]
    places: list[EventPlace] = Life(device=device, happened={"probe": events}).places()
    return sorted((one.event, one.name, one.count) for one in places if one.event == "interrupt")


@pytest.mark.parametrize("enabled", [1, 2, 4])
@pytest.mark.parametrize("vector", [0, 1, 3])
def test_a_message_has_the_number_of_the_vector_that_is_delivered(serve: Serve, enabled: int, vector: int) -> None:
    fds = [eventfd() for _ in range(enabled)]
    wired(serve, device := Messages(), fds)
    go(device_client[device], vector, vector)
    number = min(vector, enabled - 1)
    assert counted(device) == [("interrupt", str(number), 2)]
    assert [rung(fd) for fd in fds] == [2 * (index == number) for index in range(enabled)]
    wired(serve, device := Messages(), fds)
    fault = Fault("lost-interrupt", str(number), nth=2)
    device.faults.add(fault, "lost-interrupt@3#9")
    go(device_client[device], vector, vector)
    assert device.faults.came[str(fault)] == 1
    assert rung(fds[number]) == 1


device_client: dict[Device, Client] = {}


def wired(serve: Serve, device: Device, fds: list[int], irq: Irq = Irq.MSI) -> Client:
    """Put a device behind a server with the vectors of messages, as bus master."""
    client = device_client[device] = serve(device)
    client.master()
    client.irq(irq, fds)
    return client


def test_an_interrupt_that_is_not_over_has_no_second_one(serve: Serve) -> None:
    device, client, fd = intx(serve, "doubled-interrupt#1 seconds=1", "spurious-interrupt@STATUS#3")
    go(client, 0)
    go(client, 0)
    device.advance(1)
    assert rung(fd) == 1
    assert device.faults.came == {"doubled-interrupt#1 seconds=1.0": 0, "spurious-interrupt@STATUS#3": 0}
    assert "nothing came" in device.trace.find(happened("note"))[0].text
    client.read(4)
    assert sum(device.faults.came.values()) == 0, "high still: none without a reason could be seen"
    acknowledge(client)
    assert sum(device.faults.came.values()) == 0, "QEMU has masked INTx until the end of the interrupt"
    client.read(4)
    assert device.faults.came["spurious-interrupt@STATUS#3"] == 1
    assert (rung(fd), device.interrupts.level) == (1, False)
    acknowledge(client)
    go(client, 0)
    acknowledge(client)
    assert rung(fd) == 1
    device.advance(1)
    assert (rung(fd), device.interrupts.level) == (1, False)
    assert device.faults.came["doubled-interrupt#1 seconds=1.0"] == 1


def test_a_pulse_of_the_model_is_an_interrupt_for_faults_too(serve: Serve) -> None:
    device, _, fd = intx(serve, "lost-interrupt#1", "late-interrupt#2 seconds=1")
    device.pulse()
    device.pulse()
    assert rung(fd) == 0
    device.advance(1)
    assert (rung(fd), device.interrupts.level) == (1, False)


@pytest.mark.parametrize(
    ("model", "vector", "has"),
    [(Source, 1, "vector 0 only"), (Messages, 4, "the vectors 0 to 3"), (Table, 9, "the vectors 0 to 3")],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_vector_that_the_model_has_not_is_its_error(
    serve: Serve, model: type[Device], vector: int, has: str, enabled: bool
) -> None:
    device, fd = model(), eventfd()
    client = serve(device)
    client.master()
    if enabled:
        client.irq(Irq.INTX if model is Source else Irq.MSI if model is Messages else Irq.MSIX, [fd])
    go(client, vector)
    (error,) = device.errors
    assert f"raise_irq takes the number of a vector, not {vector}: the model has {has} ({__file__}:" in error.cause
    assert (device.trace.count(interrupt()), rung(fd), client.read(0x840, 8)) == (0, 0, 0)


class Both(Source):
    capabilities = (Msi(vectors=4), Msix(vectors=2, table=0x800))


def test_a_vector_of_msi_is_none_of_a_smaller_table(serve: Serve) -> None:
    device = Both()
    client = wired(serve, device, [eventfd()], Irq.MSI)
    go(client, 3)
    assert not device.errors
    client.set_config(device.config.places[1] + 2, 0x8001)
    go(client, 3)
    assert "the model has the vectors 0 to 1" in device.errors[0].cause


class WithoutLine(Table):
    interrupt_pin = 0


class Deaf(Source):
    interrupt_pin = 0


def test_without_intx_no_line_goes_high(serve: Serve) -> None:
    device: Device = WithoutLine()
    client = serve(device)
    client.master()
    go(client, 1)
    assert not device.errors, "the driver has not enabled MSI-X"
    assert (device.trace.count(interrupt()), device.interrupts.level, client.config(6, 2) & 0x8) == (0, False, 0)
    assert "no INTx, and the driver has enabled no messages" in device.trace.find(happened("refused"))[0].text
    device.pulse(1)
    assert (device.interrupts.level, client.config(6, 2) & 0x8) == (False, 0)
    device = Deaf()
    go(serve(device), 0)
    assert "the model has no interrupts" in device.errors[0].cause


def test_what_waits_is_told_as_such(serve: Serve) -> None:
    device, fd = Table(), eventfd()
    client = wired(serve, device, [fd], Irq.MSIX)
    go(client, 0, 1, 1)
    assert [(one.value, one.text) for one in device.trace.find(interrupt())] == [(0, "MSIX"), (1, "MSIX pending")]
    line, client, fd = intx(serve)
    client.set_config(4, 0x400)
    go(client, 0, 0)
    assert [(one.value, one.text) for one in line.trace.find(interrupt())] == [(0, "INTX held back")]
    client.set_config(4, 0)
    client.read(0)
    assert rung(fd) == 1
    os.close(fd)
