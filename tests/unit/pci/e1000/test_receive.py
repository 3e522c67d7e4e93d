# SPDX-License-Identifier: MIT
"""Frames from the line into buffers."""

from __future__ import annotations

import zlib

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from tests.unit.pci.e1000.stand import PEER, US, Stand, ethernet

from r4l.pci.arrays import RegisterArray
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000 import descriptors as bits
from r4l.pci.models.e1000.interrupts import RXDMT0, RXO, RXT0

RCTL, RDH, RDT, ICR = E1000.RCTL, E1000.RDH, E1000.RDT, E1000.ICR
DONE = bits.RX_DD | bits.RX_EOP | bits.RX_IXSM
GROUP = bytes.fromhex("01005e000001")
FRAME = ethernet(bytes(range(100)))


def test_a_frame_in_a_buffer(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.receive(FRAME)
    assert stand.received(0)[:3] == (FRAME, DONE, 0)
    assert stand.read(RDH) == 1
    assert stand.read(ICR) & RXT0


def test_the_frame_s_checksum_is_stored_unless_stripped(stand: Stand) -> None:
    stand.receive_ring(SECRC=0)
    stand.card.receive(FRAME)
    assert stand.received(0)[0] == FRAME + zlib.crc32(FRAME).to_bytes(4, "little")


def test_it_receives_at_once_after_rctl_was_written(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(RCTL, int(stand.card.RCTL) | 1 << 4)
    stand.card.receive(FRAME)
    assert stand.read(RDH) == 1


@pytest.mark.parametrize(
    ("bsize", "bsex", "size"), [(3, 0, 256), (2, 0, 512), (1, 0, 1024), (0, 0, 2048), (3, 1, 4096)]
)
def test_a_frame_in_several_buffers(stand: Stand, bsize: int, bsex: int, size: int) -> None:
    stand.receive_ring(size, BSIZE=bsize, BSEX=bsex)
    frame = ethernet(bytes(index & 0xFF for index in range(1500)))
    stand.card.receive(frame)
    pieces = [frame[at : at + size] for at in range(0, len(frame), size)]
    for index, piece in enumerate(pieces):
        stored, status, *_ = stand.received(index, size)
        assert stored == piece
        assert bool(status & bits.RX_EOP) == (index == len(pieces) - 1)
    assert stand.read(RDH) == len(pieces)


def test_without_buffers_frames_wait_and_then_are_missed(stand: Stand) -> None:
    stand.receive_ring()
    big = ethernet(bytes(1400))
    for _ in range(7):
        stand.card.receive(big)
    stand.read(ICR)
    assert stand.read(E1000.RNBC) == 0
    room = 48 * 1024 // (len(big) + 4)
    for _ in range(room + 3):
        stand.card.receive(big)
    assert stand.read(ICR) & RXO
    assert stand.read(E1000.RNBC) == 1, "one found no buffer; the others wait behind it"
    assert stand.read(E1000.MPC) == 3
    assert stand.read(E1000.MPC) == 0, "cleared by the read"
    assert stand.read(E1000.GPRC) == 7 + room
    stand.write(RDT, 6)
    assert stand.read(RDH) == 6


def test_the_threshold_of_few_descriptors(stand: Stand) -> None:
    stand.receive_ring(RDMTS=1)
    for left in (6, 5, 4, 3):
        stand.card.receive(FRAME)
        assert not stand.read(ICR) & RXDMT0, left
    stand.card.receive(FRAME)
    assert stand.read(ICR) & RXDMT0, "a quarter of 8"


@pytest.mark.parametrize(
    ("address", "control", "heard"),
    [
        (US, {}, True),
        (PEER, {}, False),
        (PEER, {"UPE": 1}, True),
        (b"\xff" * 6, {}, True),
        (b"\xff" * 6, {"BAM": 0}, False),
        (GROUP, {}, False),
        (GROUP, {"MPE": 1}, True),
    ],
)
def test_addresses(stand: Stand, address: bytes, control: dict[str, int], heard: bool) -> None:
    stand.receive_ring(**control)
    stand.card.receive(ethernet(bytes(60), to=address))
    assert stand.read(RDH) == heard


@pytest.mark.parametrize(("offset", "shift"), [(0, 4), (1, 3), (2, 2), (3, 0)])
def test_the_multicast_table(stand: Stand, offset: int, shift: int) -> None:
    stand.receive_ring(MO=offset)
    address = bytes.fromhex("01005e7f5abc")
    place = (0xBC5A >> shift) & 0xFFF
    stand.write(E1000.MTA[place >> 5], ~(1 << (place & 31)) & 0xFFFFFFFF)
    stand.card.receive(ethernet(bytes(60), to=address))
    assert stand.read(RDH) == 0
    stand.write(E1000.MTA[place >> 5], 1 << (place & 31))
    stand.card.receive(ethernet(bytes(60), to=address))
    assert stand.read(RDH) == 1
    assert stand.received(0)[1] & bits.RX_PIF, "passed an inexact filter"


def test_the_last_receive_address(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RAL[15], int.from_bytes(PEER[:4], "little"))
    stand.write(E1000.RAH[15], int.from_bytes(PEER[4:], "little"))
    stand.card.receive(ethernet(bytes(60), to=PEER))
    assert stand.read(RDH) == 0, "not valid yet"
    stand.write(E1000.RAH[15], int.from_bytes(PEER[4:], "little") | 1 << 31)
    stand.card.receive(ethernet(bytes(60), to=PEER))
    assert stand.read(RDH) == 1


def tagged(tag: int) -> bytes:
    return US + PEER + b"\x81\x00" + tag.to_bytes(2, "big") + b"\x88\xb5" + bytes(60)


def test_vlan_tags_stay_or_are_taken_out(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.receive(tagged(0x2005))
    assert stand.received(0)[0] == tagged(0x2005)
    stand.write(E1000.CTRL, E1000.CTRL.value(SLU=1, VME=1))
    stand.card.receive(tagged(0x2005))
    stored, status, _, _, special = stand.received(1)
    assert stored == US + PEER + b"\x88\xb5" + bytes(60)
    assert (status & bits.RX_VP, special) == (bits.RX_VP, 0x2005)


def test_the_vlan_filter(stand: Stand) -> None:
    stand.receive_ring(VFE=1)
    stand.card.receive(tagged(0x0123))
    assert stand.read(RDH) == 0
    stand.write(E1000.VFTA[0x123 >> 5], 1 << (0x123 & 31))
    stand.card.receive(tagged(0x2123))
    assert stand.read(RDH) == 1
    stand.card.receive(FRAME)
    assert stand.read(RDH) == 2, "without a tag"


@pytest.mark.parametrize("table", [E1000.MTA, E1000.VFTA])
def test_by_an_erratum_an_odd_word_is_the_one_before_it_too(stand: Stand, table: RegisterArray) -> None:
    for overwrites, even in ((False, 1), (True, 2)):
        stand.card.overwrites_even_words = overwrites
        stand.write(table[4], 1)
        stand.write(table[5], 2)
        stand.write(table[6], 3)
        assert [stand.read(table[index]) for index in range(4, 8)] == [even, 2, 3, 0]


# -- bad frames --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "words", "counters", "errors"),
    [
        (FRAME, {"crc_error": True}, ["CRCERRS"], bits.RX_CE),
        (ethernet(bytes(20)), {}, ["RUC", "RLEC"], 0),
        (ethernet(bytes(20)), {"crc_error": True}, ["RFC", "RLEC"], bits.RX_CE),
        (ethernet(bytes(1501)), {}, ["ROC", "RLEC"], 0),
        (ethernet(bytes(1501)), {"crc_error": True}, ["RJC", "RLEC"], bits.RX_CE),
        (FRAME, {"symbol_error": True}, ["SYMERRS", "RXERRC"], bits.RX_SE | bits.RX_RXE),
    ],
)
def test_bad_frames_are_counted_and_stored_only_if_asked(
    stand: Stand, frame: bytes, words: dict[str, bool], counters: list[str], errors: int
) -> None:
    stand.receive_ring()
    stand.card.receive(frame, **words)
    assert stand.read(RDH) == 0
    assert [stand.read(E1000.layout.registers[name]) for name in counters] == [1] * len(counters)
    assert stand.read(E1000.GPRC) == 0
    assert stand.read(E1000.TPR) == 1
    stand.write(RCTL, int(stand.card.RCTL) | 1 << 2)
    stand.card.receive(frame, **words)
    assert stand.received(0)[:3] == (frame, DONE, errors)


def test_long_packets(stand: Stand) -> None:
    stand.receive_ring(LPE=1, BSIZE=1, BSEX=1, size=16384)
    frame = ethernet(bytes(9000))
    stand.card.receive(frame)
    assert stand.received(0, 16384)[0] == frame
    assert stand.read(E1000.ROC) == 0


def test_a_vlan_tag_may_be_on_top(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.receive(US + PEER + b"\x81\x00\x00\x05\x88\xb5" + bytes(1500))
    assert stand.read(RDH) == 1


def test_flow_control_frames_go_no_further(stand: Stand) -> None:
    stand.receive_ring(UPE=1, MPE=1)
    pause = bytes.fromhex("0180c2000001") + PEER + b"\x88\x08\x00\x01\x00\xff" + bytes(44)
    stand.card.receive(pause)
    assert stand.read(RDH) == 0
    assert stand.read(E1000.FCRUC) == 1
    stand.write(E1000.CTRL, E1000.CTRL.value(SLU=1, RFCE=1))
    stand.card.receive(pause)
    assert stand.read(E1000.XOFFRXC) == 1


# -- checksums ---------------------------------------------------------------------------------------------------------

ETHER = Ether(dst="52:54:00:12:34:56", src="52:56:00:00:00:01")
IP4, IP6 = IP(src="10.0.2.2", dst="10.0.2.15"), IPv6(src="fe80::1", dst="fe80::2")
LOAD = Raw(b"odd" * 31)
RIGHT4 = bits.RX_IPCS | bits.RX_TCPCS


@pytest.mark.parametrize(
    ("packet", "status", "errors"),
    [
        (ETHER / IP4 / TCP() / LOAD, RIGHT4, 0),
        (ETHER / IP4 / UDP() / LOAD, RIGHT4, 0),
        (ETHER / IP4 / TCP(chksum=1) / LOAD, RIGHT4, bits.RX_TCPE),
        (ETHER / IP4 / UDP(chksum=1) / LOAD, RIGHT4, bits.RX_TCPE),
        (ETHER / IP4 / UDP(chksum=0) / LOAD, bits.RX_IPCS, 0),
        (ETHER / IP(chksum=1, src="10.0.2.2", dst="10.0.2.15") / TCP() / LOAD, RIGHT4, bits.RX_IPE),
        (ETHER / IP(options=b"\1\1\1\0", src="10.0.2.2", dst="10.0.2.15") / TCP() / LOAD, RIGHT4, 0),
        (ETHER / IP(flags="MF", src="10.0.2.2", dst="10.0.2.15") / UDP(chksum=1) / LOAD, bits.RX_IPCS, 0),
        (ETHER / IP6 / TCP() / LOAD, bits.RX_TCPCS, 0),
        (ETHER / IP6 / UDP(chksum=1) / LOAD, bits.RX_TCPCS, bits.RX_TCPE),
        (ETHER / IP4 / LOAD, bits.RX_IPCS, 0),
        (Ether(dst="52:54:00:12:34:56", type=0x88B5) / LOAD, bits.RX_IXSM, 0),
    ],
)
def test_checksums_of_received_packets(stand: Stand, packet: Packet, status: int, errors: int) -> None:
    stand.receive_ring()
    stand.card.receive(bytes(packet))
    assert stand.received(0)[1:3] == (DONE, 0), "not looked at"
    stand.write(E1000.RXCSUM, E1000.RXCSUM.value(IPOFL=1, TUOFL=1))
    stand.card.receive(bytes(packet))
    assert stand.received(1)[1:3] == (status | bits.RX_DD | bits.RX_EOP, errors)


def test_the_padding_of_a_short_packet_is_no_part_of_the_checksum(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RXCSUM, E1000.RXCSUM.value(IPOFL=1, TUOFL=1))
    stand.card.receive(bytes(ETHER / IP4 / TCP()) + b"\xaa" * 6)
    assert stand.received(0)[1:3] == (RIGHT4 | bits.RX_DD | bits.RX_EOP, 0)


def test_the_sum_over_the_packet(stand: Stand) -> None:
    stand.receive_ring()
    stand.write(E1000.RXCSUM, 14)
    stand.card.receive(ethernet(b"\x00\x01\xf2\x03" + bytes(60)))
    assert stand.received(0)[3] == ~0xF204 & 0xFFFF
