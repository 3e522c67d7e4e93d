# SPDX-License-Identifier: MIT
"""Faults are data, apply to any model, and come when they are said to."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from tests.unit.pci.client import Client

from r4l.errors import UsageError
from r4l.pci import (
    FAULT_KINDS,
    Bar,
    DescriptorRing,
    Device,
    Express,
    Fault,
    Msi,
    PowerManagement,
    Register,
    RegisterArray,
    SteppedTime,
    Vendor,
    Word,
    happened,
    interrupt,
)
from r4l.pci.protocol import Irq
from r4l.pci.trace import Condition

Serve = Callable[[Device], Client]


class Victim(Device):
    """Interrupts at each write of GO, and writes its value to memory: first the data, then a status byte."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    clock = SteppedTime
    actions = {"link-flap": "flap"}  # noqa: RUF012

    VALUE = Register(0x00, reset=0x0F)
    GO = Register(0x04)
    TABLE = RegisterArray(0x10, count=4)
    flaps = 0

    @GO.on_write
    def go(self, old: Word, new: Word) -> None:
        self.dma.write(0x1000, bytes([new] * 8))
        self.dma.write(0x1008, b"\x01")
        self.raise_irq()

    def flap(self) -> None:
        self.flaps += 1


class Rig:
    """A victim behind its server, with memory and an interrupt."""

    def __init__(self, serve: Serve, device: Victim | None = None) -> None:
        self.device = device or Victim()
        self.client = serve(self.device)
        self.memory = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, 0x2000)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.client.master()
        self.client.map(0x1000, 0x2000, self.memory)
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.client.irq(Irq.INTX, [self.eventfd])

    def go(self, value: int = 7) -> None:
        """Have it work, and wait until it has."""
        self.client.write(4, value)
        self.client.read(0x80)

    def data(self, size: int = 9, at: int = 0) -> bytes:
        """The guest's memory."""
        return os.pread(self.memory, size, at)

    def rung(self) -> int:
        """Interrupts since the last look; INTx is low and unmasked after that."""
        try:
            count = os.eventfd_read(self.eventfd)
        except BlockingIOError:
            count = 0
        self.device.lower_irq()
        self.client.irq(Irq.INTX, flags=0x11, count=1)
        return count


@pytest.fixture
def rig(serve: Serve) -> Iterator[Rig]:
    rig = Rig(serve)
    yield rig
    os.close(rig.memory)


def test_without_faults(rig: Rig) -> None:
    rig.go()
    assert (rig.data(), rig.rung()) == (b"\x07" * 8 + b"\x01", 1)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("all-ones@VALUE#2", [0x0F, 0xFFFFFFFF, 0x0F, 0x0F]),
        ("all-ones@VALUE#2 times=2", [0x0F, 0xFFFFFFFF, 0xFFFFFFFF, 0x0F]),
        ("all-ones@VALUE#3 times=0", [0x0F, 0x0F, 0xFFFFFFFF, 0xFFFFFFFF]),
        ("all-ones@GO#1", [0x0F] * 4),
        ("flipped-bit@VALUE#1 bits=0x81", [0x8E, 0x0F, 0x0F, 0x0F]),
        ("stuck-at-one@VALUE#1 bits=0x10 times=0", [0x1F] * 4),
        ("stuck-at-zero#1 bits=0x3 times=0", [0x0C] * 4),
    ],
)
def test_reads(rig: Rig, fault: str, seen: list[int]) -> None:
    rig.device.faults.add(fault)
    assert [rig.client.read(0) for _ in range(4)] == seen
    assert rig.device.VALUE == 0x0F, "the register itself is as it was"


def test_writes(rig: Rig) -> None:
    rig.device.faults.add("lost-write@VALUE#1", "flipped-write@VALUE#2 bits=0xff", "late-write@VALUE#3 seconds=2")
    for value, seen in ((1, 0x0F), (2, 0xFD), (3, 0xFD), (4, 4)):
        rig.client.write(0, value)
        assert rig.client.read(0) == seen
    rig.device.advance(1.9)
    assert rig.client.read(0) == 4
    rig.device.advance(0.2)
    assert rig.client.read(0) == 3


@pytest.mark.parametrize(
    ("offset", "size", "bits", "seen"),
    [
        (0, 4, 0x100, 0x10F),
        (1, 1, 0x100, 0x01),
        (0, 1, 0x100, 0x0F),
        (1, 2, 0x30100, 0x301),
        # GO begins at 4: its bit 0 is bit 16 of an access that begins at 2, and none of one at 0.
        (2, 4, 0x1, 0x10000),
        (4, 2, 0x1, 0x01),
    ],
)
def test_bits_are_those_of_the_register_whatever_the_access(
    rig: Rig, offset: int, size: int, bits: int, seen: int
) -> None:
    place = "GO" if bits == 1 else "VALUE"
    rig.device.faults.add(f"stuck-at-one@{place}#1 bits={bits:#x} times=0")
    assert rig.client.read(offset, size) == seen


class Wide(Device):
    """A register that is written in halves."""

    vendor_id = 0x1234
    bars = (Bar(0x100),)
    BASE = Register(0x08, 64)


@pytest.mark.parametrize(
    ("fault", "came", "seen"),
    [
        ("flipped-write@BASE#1 bits=0x2", [1, 1], 0x1002),
        ("flipped-write@BASE#1 bits=0x4000000000", [0, 1], 0x4000001000),
        ("flipped-write@BASE#2 bits=0x4000000000", [0, 1], 0x4000001000),
        ("flipped-write@BASE#2 bits=0x2", [0, 0], 0x1000),
        ("flipped-write@BASE#1 bits=0x4000000002 times=0", [1, 2], 0x4000001002),
    ],
)
def test_a_fault_comes_at_the_first_access_that_has_one_of_its_bits(fault: str, came: list[int], seen: int) -> None:
    device = Wide()
    device.faults.add(fault)
    counts: list[int] = []
    for offset, value in ((8, 0x1000), (12, 0)):
        device.bar_write(0, offset, 4, value)
        counts += device.faults.came.values()
    assert (counts, int(device.BASE)) == (came, seen)
    assert device.trace.count(happened("fault")) == came[-1]


@pytest.mark.parametrize("place", ["VALUE", "GO", "TABLE", "TABLE[1]"])
def test_an_access_is_at_each_register_that_it_reaches(rig: Rig, place: str) -> None:
    """Not only at the first: 8 bytes are two registers of 32 bits."""
    rig.device.faults.add(f"all-ones@{place}#1")
    reads = [rig.client.read(offset, 8) for offset in (0, 0x10)]
    assert [value == (1 << 64) - 1 for value in reads] == [not place.startswith("TABLE"), place.startswith("TABLE")]


class Configured(Victim):
    """All kinds of capabilities."""

    capabilities = (PowerManagement(), Msi(vectors=2), Express(), Vendor(b"abcd", writable=b"\xff\0\0\0"), Vendor(b"x"))


@pytest.fixture
def configured(serve: Serve) -> Iterator[Rig]:
    rig = Rig(serve, Configured())
    yield rig
    os.close(rig.memory)


@pytest.mark.parametrize(
    ("fault", "offset", "size", "seen"),
    [
        ("all-ones@config.VENDOR_ID#2", 0, 4, [0x1234, 0xFFFFFFFF, 0x1234]),
        ("all-ones@config.DEVICE_ID#2", 0, 4, [0x1234, 0xFFFFFFFF, 0x1234]),
        ("all-ones@config#3", 0, 2, [0x1234, 0x1234, 0xFFFF]),
        ("all-ones#1 times=0", 0, 2, [0x1234] * 3),
        ("all-ones@VALUE#1 times=0", 0, 2, [0x1234] * 3),
        ("flipped-bit@config.COMMAND#2 bits=0x6", 4, 2, [4, 2, 4]),
        ("stuck-at-one@config.STATUS#1 bits=0x2000 times=0", 6, 2, [0x2010] * 3),
        # STATUS is the upper half of these four bytes, and its upper half the last byte.
        ("stuck-at-one@config.STATUS#1 bits=0x2000 times=0", 4, 4, [0x20100004] * 3),
        ("stuck-at-one@config.STATUS#1 bits=0x2000 times=0", 7, 1, [0x20] * 3),
        ("stuck-at-zero@config.COMMAND#2 bits=0x4 times=0", 4, 2, [4, 0, 0]),
        ("flipped-bit@config.PM_ID#1 bits=0x2", 0x40, 1, [3, 1, 1]),
        ("all-ones@config.PM_CONTROL#1", 0x44, 2, [0xFFFF, 8, 8]),
    ],
)
def test_reads_of_the_configuration_space(configured: Rig, fault: str, offset: int, size: int, seen: list[int]) -> None:
    configured.device.faults.add(fault)
    assert [configured.client.config(offset, size) for _ in seen] == seen
    configured.device.faults.clear()
    assert configured.client.config(offset, size) != seen[0] or len(set(seen)) > 1 or "times=0" in fault


def test_writes_to_the_configuration_space(configured: Rig) -> None:
    device, client = configured.device, configured.client
    device.faults.add("lost-write@config.COMMAND#1")
    client.set_config(4, 0)
    assert (client.config(4, 2), device.may_master) == (4, True), "it has not arrived"
    client.set_config(4, 0)
    assert (client.config(4, 2), device.may_master) == (0, False)
    device.faults.add("flipped-write@config.COMMAND#1 bits=0x4", "late-write@config.PM_CONTROL#1 seconds=2")
    client.set_config(4, 2)
    assert (client.config(4, 2), device.may_master) == (6, True)
    client.set_config(0x44, 3)
    assert (client.config(0x44, 2) & 3, client.read(0)) == (0, 0x0F)
    device.advance(2.1)
    assert (client.config(0x44, 2) & 3, client.read(0)) == (3, 0xFFFFFFFF), "in D3hot"


def test_what_comes_just_before_an_access_to_the_configuration_space(configured: Rig) -> None:
    device, client = configured.device, configured.client
    device.faults.add("reset@config.COMMAND#1", "link-flap@config.COMMAND#2", "unplug@config.STATUS#2")
    client.write(0, 1)
    assert client.config(4, 2) == 4
    assert (client.read(0), device.flaps) == (0x0F, 0)
    client.config(4, 2)
    assert device.flaps == 1
    assert client.config(6, 2) == 0x10
    assert client.config(4, 4) == 0xFFFFFFFF
    assert not device.present


def test_each_register_of_the_configuration_space_is_a_place(configured: Rig) -> None:
    device, client = configured.device, configured.client
    registers = device.config.registers
    some = {"BASE_ADDRESS_5", "MSI_UPPER_ADDRESS", "EXPRESS_LINK_STATUS", "VENDOR_SPECIFIC_DATA[2]"}
    assert some <= {*registers}
    # All of the header, and of PM, MSI, Express and the vendor's two with what each of them has.
    assert len(registers) == 25 + (2 + 4) + (2 + 4) + (2 + 22) + (2 + 2) + (2 + 2)
    places = [(one.offset, one.offset + one.size) for one in registers.values()]
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(sorted(places)))
    for name, one in registers.items():
        device.faults.clear()
        device.faults.add(f"all-ones@config.{name}#1")
        size = min(one.size, 4)
        assert client.config(one.offset, size) == (1 << 8 * size) - 1, name
    # Not a CPU's access: QEMU reads all of it at once when it takes the device.
    device.faults.clear()
    device.faults.add("all-ones@config#1")
    assert client.config(0, 256) & 0xFFFF == 0x1234
    assert device.trace.find(of_kind("config-read"))[-1].text.startswith("VENDOR_SPECIFIC_DATA[2]")


def of_kind(kind: str) -> Condition:
    """A condition for all events of a kind."""
    return Condition(kind, lambda one: one.kind == kind)


def test_interrupts(rig: Rig) -> None:
    rig.device.faults.add("lost-interrupt#1", "late-interrupt#2 seconds=3", "doubled-interrupt#3 seconds=1")
    rig.go()
    assert rig.rung() == 0
    rig.go()
    assert rig.rung() == 0
    rig.device.advance(3)
    assert rig.rung() == 1
    rig.go()
    assert rig.rung() == 1
    rig.device.advance(1)
    assert rig.rung() == 1
    rig.device.faults.add("spurious-interrupt@VALUE#1")
    rig.client.read(0)
    assert not rig.device.interrupts.level, "nobody finds a reason"
    assert rig.rung() == 1


@pytest.mark.parametrize(
    ("fault", "seen", "later"),
    [
        ("lost-dma#1", bytes(8) + b"\x01", None),
        ("short-dma#1", b"\x07" * 4 + bytes(4) + b"\x01", None),
        ("misplaced-dma#1 bytes=4", bytes(4) + b"\x07" * 4 + b"\x01", None),
        ("late-dma#1 seconds=1", bytes(8) + b"\x01", b"\x07" * 8 + b"\x01"),
        ("swapped-dma#1", b"\x07" * 8 + b"\x01", None),
    ],
)
def test_dma(rig: Rig, fault: str, seen: bytes, later: bytes | None) -> None:
    rig.device.faults.add(fault)
    rig.go()
    assert rig.data() == seen
    rig.device.advance(1)
    assert rig.data() == (later or seen)


def test_status_before_data(rig: Rig) -> None:
    order: list[int] = []
    real = rig.device.dma._write

    def noted(address: int, data: bytes) -> None:
        order.append(address)
        real(address, data)

    rig.device.dma._write = noted  # type: ignore[method-assign]
    rig.go()
    rig.device.faults.add("swapped-dma#1")
    rig.go()
    assert order == [0x1000, 0x1008, 0x1008, 0x1000]


def test_what_the_device_reads_is_garbled(rig: Rig) -> None:
    rig.device.faults.add("garbled-dma#1")
    assert (rig.device.dma.read(0x1000, 2), rig.device.dma.read(0x1000, 2)) == (b"\xff\xff", b"\0\0")


def test_a_card_that_is_gone_at_the_nth_access(rig: Rig) -> None:
    rig.device.faults.add("unplug#3")
    assert [rig.client.read(0) for _ in range(4)] == [0x0F, 0x0F, 0xFFFFFFFF, 0xFFFFFFFF]
    assert rig.client.config(0) == 0xFFFFFFFF


def test_a_reset_at_the_nth_write_of_a_register(rig: Rig) -> None:
    rig.device.faults.add("reset@GO#2")
    rig.client.write(0, 1)
    rig.go()
    assert rig.client.read(0) == 1
    rig.go()
    assert rig.client.read(0) == 0x0F
    assert rig.device.trace.count(happened("reset")) == 2


def test_a_model_s_own_fault(rig: Rig) -> None:
    rig.device.faults.add(Fault("link-flap", "VALUE", nth=2))
    rig.client.read(0)
    assert rig.device.flaps == 0
    rig.client.write(0, 1)
    rig.client.read(0)
    assert rig.device.flaps == 1


def test_a_place_in_an_array(rig: Rig) -> None:
    rig.device.faults.add("all-ones@TABLE[2]#1")
    assert [rig.client.read(0x10 + 4 * index) for index in range(4)] == [0, 0, 0xFFFFFFFF, 0]
    rig.device.faults.add("all-ones@TABLE#2")
    assert [rig.client.read(0x10 + 4 * index) for index in range(4)] == [0, 0xFFFFFFFF, 0, 0]


def test_an_access_to_some_bytes_of_a_register_is_at_its_place(rig: Rig) -> None:
    rig.device.faults.add("all-ones@VALUE#1", "lost-write@VALUE#1")
    assert rig.client.read(0, 1) == 0xFF
    rig.client.write(0, 1, 2)
    assert rig.client.read(0) == 0x0F


def test_chance_with_a_seed_is_the_same_each_time(rig: Rig) -> None:
    def run(seed: int) -> list[bool]:
        rig.device.faults.clear()
        rig.device.faults.add(Fault("all-ones", chance=0.5, seed=seed, times=0))
        return [rig.client.read(0) == 0xFFFFFFFF for _ in range(40)]

    first = run(1)
    assert first == run(1)
    assert first != run(2)
    assert 8 < sum(first) < 32


def test_what_came_stands_in_the_trace_before_what_came_of_it(rig: Rig) -> None:
    rig.device.faults.add("lost-interrupt#1", "lost-interrupt#9")
    rig.go()
    fault = rig.device.trace.find(happened("fault"))
    assert [one.text for one in fault] == ["lost-interrupt#1"]
    assert rig.device.faults.came == {"lost-interrupt#1": 1, "lost-interrupt#9": 0}
    assert interrupt() not in rig.device.trace


class WithRing(Victim):
    """A ring of 4 descriptors of 8 bytes, whose place software gives; GO writes to 0x1000 and 0x1008."""

    BASE = Register(0x40)
    HEAD = Register(0x44)
    TAIL = Register(0x48)
    rings = (DescriptorRing("reports", base=("BASE",), head="HEAD", tail="TAIL", count=4, size=8),)


@pytest.mark.parametrize(
    ("base", "place", "came"),
    [(0x1000, "reports", 2), (0x1000, "data", 0), (0xFE8, "data", 1), (0xFE8, "reports", 1), (0x1009, "reports", 0)],
)
def test_a_fault_of_dma_in_a_ring_or_outside(serve: Serve, base: int, place: str, came: int) -> None:
    rig = Rig(serve, WithRing())
    rig.client.write(0x40, base)
    fault = Fault("lost-dma", place, times=0)
    rig.device.faults.add(fault)
    rig.go()
    assert rig.device.faults.came == {str(fault): came}
    read = Fault("garbled-dma", place, times=0)
    rig.device.faults.add(read)
    rig.device.dma.read(0x1000, 8)
    assert rig.device.faults.came[str(read)] == ((base != 0x1009) == (place == "reports"))


@pytest.mark.parametrize("kind", [*FAULT_KINDS, "link-flap"])
def test_a_fault_is_its_text(kind: str) -> None:
    for fault in (Fault(kind), Fault(kind, "TABLE[3]", nth=7, times=0), Fault(kind, chance=0.25, seed=3, bits=0x80)):
        assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_fault_can_come_to_any_model(rig: Rig, kind: str) -> None:
    rig.device.faults.add(Fault(kind, times=0))
    for _ in range(3):
        rig.client.read(0)
        rig.go()
        rig.rung()
        rig.device.advance(1)
    rig.client.read(0)
    assert rig.device.faults.came[str(Fault(kind, times=0))] or kind == "garbled-dma"
    assert rig.device.errors == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lost",
        "lost-write@NOTHING",
        "lost-write@TABLE[x]",
        "lost-write@TABLE[4]",
        "lost-write@VALUE[0]",
        "lost-write#0",
        "lost-write#x",
        "lost-write x=1",
        "lost-write bits=3",
        "lost-interrupt@VALUE",
        "lost-interrupt@1",
        "lost-dma@VALUE",
        "lost-dma@data",
        "garbled-dma@transmit",
        "late-dma bits=3",
        "all-ones chance=2",
        "link-flap seconds=1",
        "flipped-bit@VALUE bits=0x100000000",
        "stuck-at-one@VALUE bits=0",
        "flipped-write bits=-1",
        "stuck-at-zero bits=0x10000000000000000",
        "all-ones@config.NOTHING",
        "all-ones@config.",
        "all-ones@COMMAND",
        "all-ones@config.MSI_CONTROL",
        "lost-interrupt@config",
        "flipped-bit@config.COMMAND bits=0x10000",
        "flipped-bit@config.CLASS_CODE bits=0x1000000",
    ],
)
def test_no_such_fault(rig: Rig, text: str) -> None:
    with pytest.raises(UsageError):
        rig.device.faults.add(text)
