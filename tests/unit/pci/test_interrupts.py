# SPDX-License-Identifier: MIT
"""Interrupts of a device: INTx, and messages in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.pci.client import Client, Refusal, eventfd, rung
from tests.unit.pci.models import Model

from r4l.pci import interrupt
from r4l.pci.protocol import IRQ_SET, Command, Irq, IrqSet, Region


@pytest.fixture
def device() -> Model:
    return Model()


def test_intx_is_signalled_once_until_it_is_unmasked(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    client.write(4, 0x2)
    client.write(4, 0x2)
    client.read(0)
    assert rung(fd) == 1, "masked by itself"
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)
    assert rung(fd) == 1, "the level is high still"
    client.write(4, 0)
    client.read(0)
    client.irq(Irq.INTX, flags=IrqSet.DATA_NONE | IrqSet.UNMASK, count=1)
    assert rung(fd) == 0
    assert client.config(6, 2) & 0x8 == 0, "Interrupt Status"
    device.raise_irq()
    assert client.config(6, 2) & 0x8


def test_intx_that_the_guest_has_disabled_waits(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    client.set_config(4, 0x400)
    device.raise_irq()
    assert rung(fd) == 0
    client.set_config(4, 0)
    client.read(0)
    assert rung(fd) == 1


def test_messages_take_the_place_of_intx(client: Client, device: Model) -> None:
    client.master()
    intx, vectors = eventfd(), [eventfd() for _ in range(2)]
    client.irq(Irq.INTX, [intx])
    client.irq(Irq.MSI, vectors)
    client.write(4, 0x12)
    client.write(4, 0x32)
    client.read(0)
    assert (rung(intx), rung(vectors[0]), rung(vectors[1])) == (0, 0, 2), "the last one stands for those not enabled"
    client.irq(Irq.MSI, flags=IrqSet.DATA_NONE | IrqSet.TRIGGER, count=0)
    device.raise_irq()
    assert (rung(intx), rung(vectors[1])) == (1, 0)
    assert [one.text for one in device.trace.find(interrupt())] == ["MSI", "MSI", "INTX"]


def test_a_vector_of_msix_without_an_eventfd_is_pending(client: Client, device: Model) -> None:
    client.master()
    first, second = eventfd(), eventfd()
    client.irq(Irq.MSIX, [first])
    device.raise_irq(1)
    assert client.read(0x820, 8) == 0b10
    client.irq(Irq.MSIX, [second], start=1)
    assert (rung(first), rung(second)) == (0, 1)
    assert client.read(0x820, 8) == 0


def test_an_interrupt_is_pending_while_qemu_wires_more_vectors(client: Client, device: Model) -> None:
    """For a vector above all so far QEMU switches the type off and on (hw/vfio/pci.c, vfio_msix_vector_do_use)."""
    client.master()
    first, second = eventfd(), eventfd()
    control = device.config.places[-1] + 2
    client.set_config(control, 0x8001)
    client.irq(Irq.MSIX, [first])
    device.raise_irq(1)
    client.irq(Irq.MSIX, flags=IrqSet.DATA_NONE | IrqSet.TRIGGER, count=0)
    device.raise_irq(0)
    assert (client.read(0x820, 8), device.interrupts.level) == (0b11, False)
    client.irq(Irq.MSIX, [first])
    client.irq(Irq.MSIX, [], start=1, count=1)
    assert (rung(first), client.read(0x820, 8)) == (1, 0b10), "vector 1 has no eventfd: it is masked still"
    client.irq(Irq.MSIX, [second], start=1)
    assert (rung(second), client.read(0x820, 8)) == (1, 0)


@pytest.mark.parametrize("first", ["enable", "vectors"])
def test_nothing_is_pending_once_the_guest_has_disabled_msix(client: Client, device: Model, first: str) -> None:
    client.master()
    fd, control = eventfd(), device.config.places[-1] + 2
    client.set_config(control, 0x8001)
    client.irq(Irq.MSIX, [fd])
    device.raise_irq(1)
    for step in (first, "vectors" if first == "enable" else "enable"):
        if step == "enable":
            client.set_config(control, 0x0001)
        else:
            client.irq(Irq.MSIX, flags=IrqSet.DATA_NONE | IrqSet.TRIGGER, count=0)
    client.set_config(control, 0x8001)
    client.irq(Irq.MSIX, [fd], start=1)
    assert (rung(fd), client.read(0x820, 8)) == (0, 0)


def test_msix_whose_vectors_are_all_masked(client: Client, device: Model) -> None:
    """As while a driver requests its interrupts: QEMU has wired none, and the device must not drive INTx (6.8.2.3)."""
    client.master()
    intx, vector = eventfd(), eventfd()
    client.irq(Irq.INTX, [intx])
    control = device.config.places[-1] + 2
    client.write(control, 0x8001, 2, region=Region.CONFIG)
    device.raise_irq(1)
    assert (device.interrupts.level, rung(intx)) == (False, 0)
    assert client.read(0x820, 8) == 0b10
    client.irq(Irq.MSIX, [vector], start=1)
    assert rung(vector) == 1
    client.write(control, 0x0001, 2, region=Region.CONFIG)
    client.call(Command.DEVICE_SET_IRQS, IRQ_SET.pack(20, IrqSet.DATA_NONE | IrqSet.TRIGGER, Irq.MSIX, 0, 0))
    device.raise_irq(1)
    assert (device.interrupts.level, rung(intx)) == (True, 1), "MSI-X is off again"


@pytest.mark.parametrize(
    ("index", "flags", "start", "count", "number_of_fds"),
    [
        (0, IrqSet.DATA_EVENTFD | IrqSet.TRIGGER, 0, 2, 2),
        (0, IrqSet.DATA_EVENTFD | IrqSet.TRIGGER, 0, 1, 2),
        (0, IrqSet.DATA_EVENTFD | IrqSet.UNMASK, 0, 1, 1),
        (0, IrqSet.DATA_NONE | IrqSet.DATA_BOOL | IrqSet.TRIGGER, 0, 1, 0),
        (0, IrqSet.DATA_NONE, 0, 1, 0),
        (0, 0x100, 0, 1, 0),
        (0, IrqSet.DATA_BOOL | IrqSet.TRIGGER, 0, 1, 0),
        (2, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0xFFFFFFFF, 0xFFFFFFFF, 0),
        (3, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0, 0, 0),
        (9, IrqSet.DATA_NONE | IrqSet.TRIGGER, 0, 0, 0),
    ],
)
def test_interrupts_that_there_are_not(
    client: Client, index: int, flags: int, start: int, count: int, number_of_fds: int
) -> None:
    fds = [eventfd() for _ in range(number_of_fds)]
    with pytest.raises(Refusal):
        client.irq(index, fds, start=start, flags=flags, count=count)
    client.read(0)
    ours = [eventfd_id(fd) for fd in fds]
    there = [eventfd_id(int(link.name)) for link in Path("/proc/self/fd").iterdir()]
    assert sorted(found for found in there if found in ours) == sorted(ours), "the server's copies are closed"


def eventfd_id(fd: int) -> str:
    """Return the kernel's number of an eventfd (proc_pid_fdinfo(5)); empty for another file or one that was closed."""
    try:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith("eventfd-id:")), "")


def test_what_is_no_eventfd_is_refused(client: Client, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(Refusal):
        client.irq(Irq.INTX, [file.fileno()])
    assert client.read(0)
