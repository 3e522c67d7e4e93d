# SPDX-License-Identifier: MIT
"""The wire without a VM: the test holds QEMU's end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from r4l.errors import BootError, GuestTimeout, UsageError
from r4l.net import Packet, Peer, Wire, read_pcap

GUEST = "52:54:00:12:34:56"
ROUTER = "52:55:0a:00:02:02"
PING = bytes(Ether(src=GUEST, dst=ROUTER) / IP(src="10.0.2.15", dst="10.0.2.2") / ICMP())


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path / "wire.pcap")
    yield wire
    wire.close()


@pytest.fixture
def card(wire: Wire) -> Iterator[socket.socket]:
    with socket.socket(fileno=os.dup(wire.plug())) as card:
        wire.plugged()
        card.settimeout(10)
        yield card


def frame(number: int) -> bytes:
    """Return a frame that differs from all others."""
    return bytes.fromhex("5254001234565255 0a00020288b5") + number.to_bytes(46, "big")


def test_frames_go_both_ways_whole_and_in_order(wire: Wire, card: socket.socket) -> None:
    wire.send(Ether(dst=GUEST) / IP() / ICMP())
    assert Ether(card.recv(9999))[ICMP].type == 8
    for number in range(100):
        wire.send(frame(number))
        card.send(frame(number))
    assert [card.recv(9999) for _ in range(100)] == [frame(number) for number in range(100)]
    assert [bytes(wire.expect()) for _ in range(100)] == [frame(number) for number in range(100)]
    assert (wire.sent, wire.received) == (101, 100)


def test_short_frames_are_padded(wire: Wire, card: socket.socket) -> None:
    wire.send(b"\1" * 14)
    assert card.recv(9999) == b"\1" * 14 + bytes(46)


def test_jumbo_frames_are_whole_too(wire: Wire, card: socket.socket) -> None:
    wire.send(bytes(16_000))
    assert len(card.recv(99_999)) == 16_000
    card.send(bytes(16_000))
    assert len(bytes(wire.expect())) == 16_000


def test_the_peer_answers_until_it_is_taken_away(wire: Wire, card: socket.socket) -> None:
    card.send(PING)
    assert Ether(card.recv(9999))[ICMP].type == 0
    wire.peer = None
    card.send(PING)
    wire.send(frame(1))
    assert card.recv(9999) == frame(1)


def test_expect_goes_on_after_what_it_found(wire: Wire, card: socket.socket) -> None:
    for data in (frame(1), PING, frame(2), PING):
        card.send(data)
    assert wire.expect(ICMP)[ICMP].type == 8
    assert bytes(wire.expect(lambda packet: ICMP not in packet)) == frame(2)
    wire.expect(ICMP)
    assert wire.sniff() == []


def test_what_did_not_come_says_what_came(wire: Wire, card: socket.socket) -> None:
    with pytest.raises(GuestTimeout, match="no frame at all"):
        wire.expect(ARP, timeout=0.05)
    card.send(PING)
    with pytest.raises(GuestTimeout, match=r"ICMP 10\.0\.2\.15 > 10\.0\.2\.2 echo-request"):
        wire.expect(ARP, timeout=0.2)


def test_a_guest_that_sends_faster_than_frames_are_dissected_is_not_waited_for(wire: Wire, card: socket.socket) -> None:
    """Regression: the time-out came when the guest was silent, hours later."""
    wire.peer = None
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            card.send(frame(1))

    guest = threading.Thread(target=flood)
    guest.start()
    # Far more than the frames that are there after a fifth of a second take.
    late = threading.Timer(20, over.set)
    late.start()
    with pytest.raises(GuestTimeout, match=r"within 0\.2 s"):
        wire.expect(ARP, timeout=0.2)
    in_time = not over.is_set()
    over.set()
    late.cancel()
    guest.join()
    assert in_time


def test_sniff_takes_what_is_there(wire: Wire, card: socket.socket) -> None:
    wire.peer = None
    for data in (PING, frame(1), PING):
        card.send(data)
    card.send(last := frame(99))
    seen: list[Packet] = []
    while last not in (packet.data for packet in seen):
        seen += wire.frames()
    assert [packet.data for packet in seen] == [PING, frame(1), PING, last]
    assert wire.sniff(ICMP) == []


def test_loss_is_total_or_as_the_seed_says(wire: Wire, card: socket.socket) -> None:
    wire.loss = 1
    wire.send(frame(1))
    card.send(frame(2))
    wire.loss = 0.5
    runs = []
    for _ in range(2):
        wire.seed(5)
        for number in range(100, 200):
            wire.send(frame(number))
        wire.loss = 0
        wire.send(frame(0))
        got = []
        while (data := card.recv(9999)) != frame(0):
            got.append(data)
        wire.loss = 0.5
        runs.append(got)
    assert runs[0] == runs[1]
    assert 30 < len(runs[0]) < 70


def test_duplicates(wire: Wire, card: socket.socket) -> None:
    wire.duplicate = 1
    wire.send(frame(1))
    wire.duplicate = 0
    wire.send(frame(2))
    assert [card.recv(9999) for _ in range(3)] == [frame(1), frame(1), frame(2)]


def test_delayed_frames_are_overtaken(wire: Wire, card: socket.socket) -> None:
    wire.delay = 1
    wire.send(frame(1))
    wire.delay = 0
    wire.send(frame(2))
    assert [card.recv(9999) for _ in range(2)] == [frame(2), frame(1)]
    wire.delay = 0.1
    card.send(PING)
    assert Ether(card.recv(9999))[ICMP].type == 0


def test_the_capture_is_what_the_card_saw(wire: Wire, card: socket.socket) -> None:
    wire.send(frame(1))
    assert card.recv(9999) == frame(1)
    wire.loss = 1
    wire.send(frame(2))
    card.send(frame(3))
    while wire.received < 1:
        wire.flush()
    wire.loss = 0
    wire.send(frame(4))
    assert card.recv(9999) == frame(4)
    wire.flush()
    assert [packet.data for packet in read_pcap(wire.pcap)] == [frame(1), frame(3), frame(4)]
    assert wire.frames() == [], "what the guest sent was lost on the way"


def test_a_card_that_takes_nothing(wire: Wire, card: socket.socket) -> None:
    def fill() -> None:
        for number in range(5000):
            wire.send(frame(number), timeout=0.1)

    with pytest.raises(GuestTimeout, match="check that its driver is loaded"):
        fill()
    with pytest.raises(GuestTimeout):
        wire.flush(timeout=0.1)
    assert card.recv(9999) == frame(0), "what was sent is not lost"


def test_the_end_of_the_vm(wire: Wire, card: socket.socket) -> None:
    card.close()
    wire.send(frame(1))
    with pytest.raises(BootError, match="has ended"):
        wire.flush()
    wire.close()
    wire.close()
    assert list(read_pcap(wire.pcap)) == []


def test_a_peer_that_raises_is_heard(wire: Wire, card: socket.socket) -> None:
    class Broken(Peer):
        def answer(self, frame: bytes) -> list[bytes]:
            raise ZeroDivisionError("in the test's own peer")

    wire.peer = Broken()
    card.send(frame(1))
    assert bytes(wire.expect()) == frame(1)
    with pytest.raises(ZeroDivisionError, match="own peer"):
        wire.expect()
    with pytest.raises(ZeroDivisionError):
        wire.send(frame(2))
    wire.close()
    assert [packet.data for packet in read_pcap(wire.pcap)] == [frame(1)]


def test_nobody_waits_for_a_wire_that_is_closed(wire: Wire) -> None:
    wire.close()
    with pytest.raises(GuestTimeout):
        wire.expect(timeout=3600)


def test_mistakes(wire: Wire) -> None:
    for data in (b"", bytes(13), bytes(70_000)):
        with pytest.raises(UsageError, match="not an Ethernet frame"):
            wire.send(data)
    other = Wire()
    with pytest.raises(UsageError, match="no capture"):
        _ = other.pcap
    other.close()
    with pytest.raises(UsageError, match="plugged into a VM before"):
        other.plug()
    with pytest.raises(BootError):
        other.send(frame(1))
