# SPDX-License-Identifier: MIT
"""The card as a whole, and its cable."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from tests.unit.pci.e1000.stand import TX_BUFFERS, Card, Stand, ethernet, legacy

from r4l.pci import Fault, read
from r4l.pci.models.e1000 import E1000, E1000Ep, E1000Gb, E1000GbSecond, E1000Gc, E1000Gm, E1000Server, Errata
from r4l.pci.models.e1000.descriptors import EOP, IFCS, RS

LAST = EOP | IFCS | RS


IDENTITIES = {
    E1000: 0x100E,
    E1000Ep: 0x1017,
    E1000Gc: 0x100C,
    E1000Server: 0x100F,
    E1000Gm: 0x1026,
    E1000Gb: 0x1079,
    E1000GbSecond: 0x1079,
}


def powered(model: type[E1000]) -> Stand:
    """A card that decodes its addresses."""
    return Stand(model("52:54:00:00:00:01"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "number"), IDENTITIES.items())
def test_identity(model: type[E1000], number: int) -> None:
    card = model("52:54:00:00:00:01")
    assert card.config.word(0) == 0x8086
    assert card.config.word(2) == number
    assert card.eeprom.words[0x0D] == number
    assert sum(card.eeprom.words[:0x40]) & 0xFFFF == 0xBABA
    assert (card.RAL[0], card.RAH[0]) == (0x00005452, 0x80000100 ^ card.port << 8)


@pytest.mark.parametrize("model", IDENTITIES)
def test_a_second_port_says_so_also_after_a_reset(model: type[E1000]) -> None:
    stand = powered(model)
    for _ in range(2):
        assert stand.read(E1000.STATUS) >> 2 & 3 == stand.card.port == (model is E1000GbSecond)
        stand.write(E1000.CTRL, E1000.CTRL.value(RST=1))
        assert stand.card.RAH[0] >> 8 & 1 == 1 ^ stand.card.port
    stand.card.unplugged()


def test_registers_that_the_82544_lacks() -> None:
    stand = powered(E1000Gc)
    stand.write(E1000.ITR, 100)
    stand.write(E1000.EERD, E1000.EERD.value(START=1))
    assert (stand.read(E1000.ITR), stand.read(E1000.EERD), stand.read(E1000.LEDCTL)) == (0, 0, 0)
    refused = [event.text for event in stand.card.trace if event.kind == "refused"]
    assert refused == [f"no register at {at}" for at in ("0xc4", "0x14", "0xc4", "0x14", "0xe00")]
    stand.card.unplugged()


def test_a_reset_by_the_second_address_of_ctrl() -> None:
    stand = powered(E1000Gm)
    stand.write(E1000.IMS, 4)
    stand.write(E1000Gm.CTRL_DUP, E1000.CTRL.value(RST=1, SLU=1))
    assert stand.read(E1000.IMS) == 0
    stand.write(E1000Gm.CTRL_DUP, E1000.CTRL.value(SLU=1))
    assert stand.read(E1000.CTRL) == stand.read(E1000Gm.CTRL_DUP) == E1000.CTRL.value(SLU=1)
    stand.card.unplugged()


def test_registers_by_the_io_ports(stand: Stand) -> None:
    card = stand.card
    card.bar_write(2, 0, 4, E1000.RAL[1].register.offset + 8)
    card.bar_write(2, 4, 4, 0x12345678)
    assert stand.read(E1000.RAL[1]) == 0x12345678
    card.bar_write(2, 0, 4, 8)
    assert card.bar_read(2, 4, 4) == int(card.STATUS)
    assert read(E1000.STATUS) in card.trace
    card.bar_write(2, 0, 4, 0xFFFFFFFF)
    assert card.bar_read(2, 0, 4) == 0xFFFFF
    card.bar_write(2, 4, 4, 0)
    assert card.bar_read(2, 4, 4) == 0


def test_a_card_that_hears_the_io_ports_only() -> None:
    card = Card(errata=Errata(writes_by_io_only=True))
    stand = Stand(card)
    stand.write(E1000.IMS, 4)
    assert stand.read(E1000.IMS) == 0
    card.bar_write(2, 0, 4, E1000.IMS.offset)
    card.bar_write(2, 4, 4, 4)
    assert stand.read(E1000.IMS) == 4


def test_a_card_that_is_reset_by_the_io_ports_only() -> None:
    card = Card(errata=Errata(resets_by_io_only=True))
    stand = Stand(card)
    stand.write(E1000.IMS, 4)
    reset = E1000.CTRL.value(RST=1, SLU=1)
    stand.write(E1000.CTRL, reset)
    assert stand.read(E1000.IMS) == 4
    assert stand.read(E1000.CTRL) == E1000.CTRL.value(SLU=1)
    card.bar_write(2, 0, 4, E1000.CTRL.offset)
    card.bar_write(2, 4, 4, reset)
    assert stand.read(E1000.IMS) == 0


def test_a_frame_that_is_damaged_by_a_fault(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.faults.add(Fault("crc-error", "RDT"))
    stand.write(E1000.RDT, 7)
    stand.card._take_frames([ethernet(bytes(60)), ethernet(bytes(61))])
    assert stand.read(E1000.CRCERRS) == 1
    assert stand.received(0)[0] == ethernet(bytes(61))


def test_d3_and_back_resets_it(stand: Stand) -> None:
    stand.write(E1000.IMS, 4)
    stand.card.config_write(0x44, b"\x03\x00")
    assert stand.read(E1000.IMS) == 0xFFFFFFFF
    stand.card.config_write(0x44, b"\x00\x00")
    assert stand.read(E1000.IMS) == 0


# -- the cable ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def wired() -> Iterator[Stand]:
    """A card with its own wire, in running time."""
    card = E1000()
    stand = Stand(card)  # type: ignore[arg-type]
    stand.write(E1000.CTRL, E1000.CTRL.value(SLU=1))
    until = time.monotonic() + 10
    while not card.link_up and time.monotonic() < until:
        time.sleep(0.005)
    stand.receive_ring()
    stand.transmit_ring()
    yield stand
    card.unplugged()
    assert not card.errors


def send(stand: Stand, frame: bytes) -> None:
    stand.put(TX_BUFFERS, frame)
    stand.push(legacy(TX_BUFFERS, len(frame), LAST))


def until_received(stand: Stand, index: int) -> bytes:
    until = time.monotonic() + 10
    while index >= stand.card.RDH and time.monotonic() < until:
        time.sleep(0.002)
    return stand.received(index)[0]


def test_the_peer_on_its_wire_answers(wired: Stand) -> None:
    me = "52:54:00:12:34:56"
    send(wired, bytes(Ether(src=me, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=me, psrc="10.0.2.15", pdst="10.0.2.2")))
    answer = Ether(until_received(wired, 0))
    assert (answer.dst, answer[ARP].psrc) == (me, "10.0.2.2")
    send(wired, bytes(Ether(src=me, dst=answer.src) / IP(src="10.0.2.15", dst="10.0.2.2") / ICMP(id=7)))
    assert Ether(until_received(wired, 1))[ICMP].id == 7


def test_frames_of_the_test(wired: Stand) -> None:
    wire = wired.card.wire
    assert wire is not None
    wire.send(ethernet(b"short"))
    assert until_received(wired, 0) == ethernet(b"short").ljust(60, b"\0")
    send(wired, ethernet(b"from the card".ljust(60)))
    assert bytes(wire.expect())[14:27] == b"from the card"


def test_a_line_that_stands_still_loses_nothing(wired: Stand) -> None:
    """The wire takes few frames at once: the others wait on the ring."""
    wire = wired.card.wire
    assert wire is not None
    wire.peer = None
    many = 3000
    wired.put(TX_BUFFERS, ethernet(bytes(200)))
    for _ in range(many):
        while wired.card._tx.free == 7:
            time.sleep(0.001)
        wired.push(legacy(TX_BUFFERS, 214, LAST))
    until = time.monotonic() + 20
    while wire.received < many and time.monotonic() < until:
        time.sleep(0.01)
    assert wire.received == many


def test_a_replugged_card_has_a_new_wire(wired: Stand) -> None:
    before = wired.card.wire
    wired.card.unplugged()
    wired.card.plugged()
    after = wired.card.wire
    assert after is not None
    assert after is not before
    after.send(ethernet(bytes(60)))
    after.flush()
