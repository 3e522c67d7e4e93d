# SPDX-License-Identifier: MIT
"""Descriptors to frames."""

from __future__ import annotations

import zlib

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from tests.unit.pci.e1000.stand import TX_BUFFERS, TX_RING, Card, Stand, context, data, ethernet, legacy

from r4l.pci.models.e1000 import E1000, Errata
from r4l.pci.models.e1000.descriptors import (
    EOP,
    IC,
    IDE,
    IFCS,
    IXSM,
    RS,
    TSE,
    TUCMD_IP,
    TUCMD_TCP,
    TUCMD_TSE,
    TXSM,
    VLE,
)
from r4l.pci.models.e1000.interrupts import TXDW, TXQE
from r4l.pci.models.e1000.transmit import FIRST_REQUEST
from r4l.pci.trace import happened

LAST = EOP | IFCS | RS
FRAME = ethernet(bytes(range(100)))
ICR = E1000.ICR
ETHER = Ether(dst="52:56:00:00:00:01", src="52:54:00:12:34:56")


@pytest.fixture
def ready(stand: Stand) -> Stand:
    """A card that sends."""
    stand.transmit_ring()
    stand.put(TX_BUFFERS, FRAME)
    return stand


def test_a_legacy_descriptor(ready: Stand) -> None:
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert ready.card.sent == [FRAME]
    assert ready.transmitted(0)
    assert ready.read(E1000.TDH) == 1
    assert ready.read(ICR) == TXDW | TXQE


def test_only_who_asks_gets_a_report(ready: Stand) -> None:
    ready.push(legacy(TX_BUFFERS, len(FRAME), EOP | IFCS))
    assert not ready.transmitted(0)
    assert ready.read(ICR) == TXQE


def test_a_frame_in_pieces(ready: Stand) -> None:
    ready.push(data(TX_BUFFERS, 10, IFCS), data(TX_BUFFERS + 10, 0, IFCS), data(TX_BUFFERS + 10, 104, LAST))
    assert ready.card.sent == [FRAME]
    assert [ready.transmitted(index) for index in range(3)] == [False, False, True]


def test_many_frames_around_the_end_of_the_ring(ready: Stand) -> None:
    for _ in range(4):
        ready.push(*[legacy(TX_BUFFERS, len(FRAME), LAST)] * 5)
    assert ready.card.sent == [FRAME] * 20
    assert ready.read(E1000.TDH) == 20 % 8


def test_short_frames_are_padded_if_asked(ready: Stand) -> None:
    ready.push(legacy(TX_BUFFERS, 20, LAST))
    ready.write(E1000.TCTL, E1000.TCTL.value(EN=1))
    ready.push(legacy(TX_BUFFERS, 20, LAST))
    assert ready.card.sent == [FRAME[:20].ljust(60, b"\0"), FRAME[:20]]


def test_software_may_bring_its_own_fcs(ready: Stand) -> None:
    whole = FRAME + zlib.crc32(FRAME).to_bytes(4, "little")
    ready.put(TX_BUFFERS, whole)
    ready.push(legacy(TX_BUFFERS, len(whole), EOP | RS))
    assert ready.card.sent == [FRAME]
    ready.push(legacy(TX_BUFFERS, len(whole) - 1, EOP | RS))
    assert ready.card.sent == [FRAME], "nobody receives a frame with a wrong one"


def test_nothing_goes_out_before_the_transmitter_is_on(stand: Stand) -> None:
    stand.transmit_ring()
    stand.write(E1000.TCTL, 0)
    stand.put(TX_BUFFERS, FRAME)
    stand.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert stand.card.sent == []
    stand.write(E1000.TCTL, E1000.TCTL.value(EN=1))
    assert stand.card.sent == [FRAME]


def test_without_link_it_waits(ready: Stand) -> None:
    ready.card.set_cable(False)
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert ready.card.sent == []
    ready.card.set_cable(True)
    ready.card.advance(1)
    assert ready.card.sent == [FRAME]


def test_a_line_that_is_full_stops_it(ready: Stand) -> None:
    ready.card.full = True
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert ready.card.sent == []
    ready.card.full = False
    ready.card.transmit()
    assert ready.card.sent == [FRAME]


def test_a_tail_outside_of_the_ring(ready: Stand) -> None:
    ready.write(E1000.TDT, 100)
    assert ready.card.sent == []
    ready.write(E1000.TDT, 0)
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert ready.card.sent == [FRAME]


@pytest.mark.parametrize(("address", "length"), [(0xDEAD0000, 100), (TX_BUFFERS, 0)])
def test_a_descriptor_that_points_nowhere(ready: Stand, address: int, length: int) -> None:
    ready.card.call(lambda: ready.push(legacy(address, length, LAST), legacy(TX_BUFFERS, len(FRAME), LAST)))
    ready.write(E1000.TDT, ready.tail)
    assert ready.card.sent == [FRAME]
    assert (happened("refused") in ready.card.trace) == bool(length)


def test_a_ring_in_no_memory(ready: Stand) -> None:
    ready.write(E1000.TDBAL, 0xF0000000)
    ready.write(E1000.TDT, 3)
    assert happened("refused") in ready.card.trace
    assert ready.card.sent == []


def test_the_delay_of_the_interrupt(ready: Stand) -> None:
    ready.write(E1000.TIDV, 100)
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST | IDE))
    assert ready.read(ICR) == TXQE
    ready.card.advance(110 * 1.024e-6)
    assert ready.read(ICR) == TXDW


LONG = ethernet(bytes(2000))
REUSED = b"\xaa" * len(LONG)
LARGE_SEND = context((0, 0, 0), (0, 0, 0), TUCMD_TSE, payload=len(LONG) - 14, header=14, mss=len(LONG))


@pytest.fixture
def early() -> Stand:
    """A card that reports large sends too early, and a long frame."""
    stand = Stand(Card(errata=Errata(early_write_back=True)))
    stand.link_up()
    stand.transmit_ring()
    stand.put(TX_BUFFERS, LONG)
    return stand


def payloads(stand: Stand) -> list[bytes]:
    """The frames without their headers, in which a large send changes lengths."""
    return [frame[14:] for frame in stand.card.sent]


def test_early_write_back_of_a_large_send(early: Stand) -> None:
    """The descriptor is done, the driver reuses the buffer, and the card sends what is in it then."""
    early.push(LARGE_SEND, data(TX_BUFFERS, len(LONG), LAST | TSE))
    assert early.transmitted(1)
    assert early.card.sent == []
    early.put(TX_BUFFERS, REUSED)
    early.card.advance(1)
    assert payloads(early) == [(LONG[:FIRST_REQUEST] + REUSED[FIRST_REQUEST:])[14:]]


def test_a_descriptor_of_four_bytes_is_reported_when_the_data_before_it_was_read(early: Stand) -> None:
    """The workaround of Intel's specification update."""
    early.push(LARGE_SEND, data(TX_BUFFERS, len(LONG) - 4, IFCS | TSE), data(TX_BUFFERS + len(LONG) - 4, 4, LAST | TSE))
    assert not early.transmitted(2)
    early.card.advance(1)
    assert early.transmitted(2)
    early.put(TX_BUFFERS, REUSED)
    assert payloads(early) == [LONG[14:]]


def test_early_write_back_of_the_frame_after_a_large_send_and_of_no_other(early: Stand) -> None:
    early.push(LARGE_SEND, data(TX_BUFFERS, 400, LAST | TSE), data(TX_BUFFERS, len(LONG), LAST))
    assert early.transmitted(2)
    assert len(early.card.sent) == 1
    early.put(TX_BUFFERS, REUSED)
    early.card.advance(1)
    assert early.card.sent[1] == LONG[:FIRST_REQUEST] + REUSED[FIRST_REQUEST:]
    early.push(data(TX_BUFFERS, len(LONG), LAST))
    assert early.card.sent[2] == REUSED


def test_a_reset_ends_a_large_send_that_was_reported_early(early: Stand) -> None:
    early.push(LARGE_SEND, data(TX_BUFFERS, len(LONG), LAST | TSE))
    early.write(E1000.CTRL, E1000.CTRL.value(RST=1))
    early.card.advance(1)
    assert early.card.sent == []


# -- checksums ---------------------------------------------------------------------------------------------------------


def without_sums(packet: Packet, *, ip: bool = True) -> tuple[bytes, bytes]:
    """A packet as the driver hands it over, with the pseudo header's sum, and as it has to go out."""
    right = bytes(packet)
    raw = bytearray(right)
    header = 14 + (len(packet[IP]) - len(packet[IP].payload) if IP in packet else 40)
    place = header + (16 if TCP in packet else 6)
    if IP in packet and ip:
        raw[24:26] = b"\0\0"
    addresses = raw[26:34] if IP in packet else raw[22:54]
    protocol = 6 if TCP in packet else 17
    total = sum(int.from_bytes(addresses[at : at + 2], "big") for at in range(0, len(addresses), 2))
    total += protocol + len(raw) - header
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    raw[place : place + 2] = total.to_bytes(2, "big")
    return bytes(raw), right


@pytest.mark.parametrize(
    "packet",
    [
        ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / TCP() / Raw(b"odd" * 33),
        ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / UDP() / Raw(b"odd" * 33),
        ETHER / IP(src="10.0.2.15", dst="10.0.2.2", options=b"\1\1\1\0") / TCP() / Raw(b"odd" * 33),
        ETHER / IPv6(src="fe80::1", dst="fe80::2") / TCP() / Raw(b"odd" * 33),
    ],
)
def test_checksums(ready: Stand, packet: Packet) -> None:
    raw, right = without_sums(packet)
    ready.put(TX_BUFFERS, raw)
    start = 14 + (len(packet[IP]) - len(packet[IP].payload) if IP in packet else 40)
    tcp = TCP in packet
    ready.push(
        context((14, 24, start - 1), (start, start + (16 if tcp else 6), 0), TUCMD_TCP if tcp else 0),
        data(TX_BUFFERS, len(raw), LAST, TXSM | (IXSM if IP in packet else 0)),
    )
    assert ready.card.sent == [right.ljust(60, b"\0")]


def test_the_end_of_the_ip_header_is_honoured(ready: Stand) -> None:
    """IPCSE says where the sum ends; one byte less gives another sum (3.3.6)."""
    raw, right = without_sums(ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / UDP(chksum=0) / Raw(b"x" * 60))
    ready.put(TX_BUFFERS, raw[:40] + bytes(2) + raw[42:])
    length = len(raw)
    ready.push(context((14, 24, 33), (34, 40, 0)), data(TX_BUFFERS, length, LAST, IXSM))
    ready.push(context((14, 24, 31), (34, 40, 0)), data(TX_BUFFERS, length, LAST, IXSM))
    assert ready.card.sent[0] == right
    assert ready.card.sent[1][24:26] != right[24:26]


def test_a_context_stays_until_the_next(ready: Stand) -> None:
    raw, right = without_sums(ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / TCP() / Raw(b"x" * 60))
    ready.put(TX_BUFFERS, raw)
    ready.push(context((14, 24, 33), (34, 50, 0), TUCMD_TCP))
    for _ in range(2):
        ready.push(data(TX_BUFFERS, len(raw), LAST, TXSM | IXSM))
    assert ready.card.sent == [right, right]


def test_the_checksum_of_a_legacy_descriptor(ready: Stand) -> None:
    raw, right = without_sums(ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / UDP() / Raw(b"x" * 60), ip=False)
    ready.put(TX_BUFFERS, raw)
    ready.push(legacy(TX_BUFFERS, len(raw), LAST | IC, cso=40, css=34))
    assert ready.card.sent == [right]


@pytest.mark.parametrize("place", [len(FRAME) - 1, 255])
def test_a_checksum_outside_of_the_frame_is_not_inserted(ready: Stand, place: int) -> None:
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST | IC, cso=place, css=14))
    assert ready.card.sent == [FRAME]


# -- segmentation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("size", "mss"), [(1000, 300), (900, 300), (10, 300), (301, 300)])
def test_a_large_segment(ready: Stand, version: int, size: int, mss: int) -> None:
    payload = bytes(index * 7 & 0xFF for index in range(size))
    ip = IP(src="10.0.2.15", dst="10.0.2.2", id=0xFFFF) if version == 4 else IPv6(src="fe80::1", dst="fe80::2")
    packet = ETHER / ip / TCP(seq=0xFFFFFF00, flags="PFA", options=[("NOP", None)] * 4)
    start = 34 if version == 4 else 54
    header = len(packet)
    raw = bytearray(bytes(packet / Raw(payload)))
    # Lengths are 0, and the pseudo header's sum is without the length (3.5.5).
    addresses = raw[26:34] if version == 4 else raw[22:54]
    if version == 4:
        raw[16:18] = raw[24:26] = b"\0\0"
    else:
        raw[18:20] = b"\0\0"
    total = 6 + sum(int.from_bytes(addresses[at : at + 2], "big") for at in range(0, len(addresses), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    raw[start + 16 : start + 18] = total.to_bytes(2, "big")
    ready.put(TX_BUFFERS, bytes(raw))
    command = TUCMD_TCP | TUCMD_TSE | (TUCMD_IP if version == 4 else 0)
    options = TXSM | (IXSM if version == 4 else 0)
    ready.push(
        context((14, 24, 33), (start, start + 16, 0), command, payload=size, header=header, mss=mss),
        data(TX_BUFFERS, header, IFCS | TSE, options),
        data(TX_BUFFERS + header, size, LAST | TSE),
    )
    starts = range(0, size, mss)
    expected = []
    for number, at in enumerate(starts):
        piece = packet.copy() / Raw(payload[at : at + mss])
        if version == 4:
            piece[IP].id = 0xFFFF + number & 0xFFFF
        piece[TCP].seq = 0xFFFFFF00 + at & 0xFFFFFFFF
        piece[TCP].flags = "PFA" if at + mss >= size else "A"
        expected.append(bytes(piece).ljust(60, b"\0"))
    assert ready.card.sent == expected
    assert ready.read(E1000.TSCTC) == 1
    assert ready.read(E1000.GPTC) == len(starts)


@pytest.mark.parametrize(("mss", "overruns"), [(100, False), (99, True), (0, False)])
def test_a_descriptor_of_more_segments_than_the_fifo_has_room_for_is_noted(
    ready: Stand, mss: int, overruns: bool
) -> None:
    """The longest descriptor counts; a size of 0 means a single segment."""
    ready.push(
        context((14, 24, 33), (34, 50, 0), TUCMD_TCP | TUCMD_IP | TUCMD_TSE, payload=400, header=54, mss=mss),
        data(TX_BUFFERS, 54, IFCS | TSE),
        data(TX_BUFFERS, 400, IFCS | TSE),
        data(TX_BUFFERS, 60, LAST | TSE),
    )
    notes = [event.text for event in ready.card.trace if event.kind == "note"]
    assert notes == ["a descriptor of 400 bytes, for segments of 99, can overrun the transmit FIFO"][:overruns]


def test_a_send_of_very_many_segments_does_not_hold_the_guest_up(ready: Stand) -> None:
    """A million frames for one write would take longer than a model may."""
    size = 0x40000
    ready.push(
        context((14, 24, 33), (34, 50, 0), TUCMD_TCP | TUCMD_IP | TUCMD_TSE, payload=size, header=54, mss=1),
        data(TX_BUFFERS, 54, IFCS | TSE),
        data(0, size, LAST | TSE),
        legacy(TX_BUFFERS, len(FRAME), LAST),
    )
    assert len(ready.card.sent) < 5000
    assert ready.read(E1000.TDH) == 3, "the next descriptor waits"
    ready.write(E1000.TDT, ready.tail)
    assert FRAME not in ready.card.sent, "also if software tells the tail again"
    ready.card.advance(0)
    assert len(ready.card.sent) == size + 1
    assert ready.card.sent[-1] == FRAME
    assert [frame[54] for frame in ready.card.sent[:256]] == list(ready.memory[:256])


def test_a_ring_of_very_long_descriptors_does_not_hold_the_guest_up(ready: Stand) -> None:
    ready.write(E1000.TDLEN, 0x4000)
    for index in range(0x400 - 1):
        first, second = data(0, 0xFFFFF, IFCS)
        ready.put(TX_RING + 16 * index, first.to_bytes(8, "little") + second.to_bytes(8, "little"))
    ready.write(E1000.TDT, 0x400 - 1)
    assert 0 < ready.read(E1000.TDH) < 100
    ready.card.advance(0)
    assert ready.read(E1000.TDH) == 0x400 - 1


def test_a_reset_ends_a_send_of_very_many_segments(ready: Stand) -> None:
    ready.push(
        context((14, 24, 33), (34, 50, 0), TUCMD_TCP | TUCMD_IP | TUCMD_TSE, payload=0x10000, header=54, mss=1),
        data(TX_BUFFERS, 0x10000, LAST | TSE),
    )
    sent = len(ready.card.sent)
    ready.write(E1000.CTRL, 1 << 26)
    ready.card.advance(1)
    assert len(ready.card.sent) == sent


def test_a_large_datagram(ready: Stand) -> None:
    """The segments of UDP have the header each (3.5.9)."""
    raw = bytearray(bytes(ETHER / IP(src="10.0.2.15", dst="10.0.2.2") / UDP() / Raw(b"y" * 250)))
    raw[24:26] = raw[40:42] = b"\0\0"
    ready.put(TX_BUFFERS, bytes(raw))
    ready.push(
        context((14, 24, 33), (34, 40, 0), TUCMD_IP | TUCMD_TSE, payload=250, header=42, mss=100),
        data(TX_BUFFERS, len(raw), LAST | TSE, IXSM),
    )
    assert [Ether(frame)[UDP].len for frame in ready.card.sent] == [108, 108, 58]
    assert [len(frame) for frame in ready.card.sent] == [142, 142, 92]


def test_vlan_tags_are_inserted(ready: Stand) -> None:
    ready.write(E1000.CTRL, E1000.CTRL.value(SLU=1, VME=1))
    ready.push(data(TX_BUFFERS, len(FRAME), LAST | VLE, special=0x2005))
    assert ready.card.sent == [FRAME[:12] + b"\x81\x00\x20\x05" + FRAME[12:]]


def test_loopback(ready: Stand) -> None:
    ready.receive_ring(LBM=3)
    ready.push(legacy(TX_BUFFERS, len(FRAME), LAST))
    assert ready.card.sent == []
    assert ready.received(0)[0] == FRAME


def test_a_chain_without_end(ready: Stand) -> None:
    for _ in range(1000):
        ready.push(*[data(TX_BUFFERS, 0xFFFF, IFCS)] * 7)
    assert sum(map(len, ready.card._parts)) <= 1 << 20
    assert ready.memory[TX_RING : TX_RING + 8] == TX_BUFFERS.to_bytes(8, "little")
