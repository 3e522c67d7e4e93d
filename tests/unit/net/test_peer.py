# SPDX-License-Identifier: MIT
"""The peer's answers, asked and read by scapy."""

from __future__ import annotations

import os
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, IPOption_NOP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from r4l.net.peer import Peer, checksum

GUEST = "52:54:00:12:34:56"
ROUTER = "52:55:0a:00:02:02"


def ask(packet: Packet, peer: Peer | None = None) -> Packet | None:
    """Return the answer to a packet."""
    answers = (peer or Peer()).answer(bytes(packet))
    assert len(answers) <= 1
    return Ether(answers[0]) if answers else None


def echo(target: str, payload: bytes = b"x" * 57, **header: Any) -> Packet:
    """Return a ping of the guest."""
    return Ether(src=GUEST, dst=ROUTER) / IP(src="10.0.2.15", dst=target, **header) / ICMP(id=7, seq=3) / payload


def test_arp_for_the_router_alone() -> None:
    def who_has(address: str) -> Packet:
        return Ether(src=GUEST, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=GUEST, psrc="10.0.2.15", pdst=address)

    answer = ask(who_has("10.0.2.2"))
    assert answer is not None
    assert (answer.src, answer.dst) == (ROUTER, GUEST)
    assert (answer[ARP].op, answer[ARP].hwsrc, answer[ARP].psrc, answer[ARP].hwdst, answer[ARP].pdst) == (
        *(2, ROUTER, "10.0.2.2"),
        *(GUEST, "10.0.2.15"),
    )
    assert ask(who_has("10.0.2.3")) is None
    assert ask(who_has("10.0.3.3")) is None, "a host behind a router is on no wire of ours"


@pytest.mark.parametrize(("target", "ttl"), [("10.0.2.2", 64), ("10.0.3.3", 63)])
def test_ping(target: str, ttl: int) -> None:
    answer = ask(echo(target))
    assert answer is not None
    assert (answer.src, answer.dst, answer[IP].src, answer[IP].dst) == (ROUTER, GUEST, target, "10.0.2.15")
    assert (answer[ICMP].type, answer[ICMP].id, answer[ICMP].seq, answer[IP].ttl) == (0, 7, 3, ttl)
    assert bytes(answer[ICMP].payload) == b"x" * 57
    assert checksum(bytes(answer[IP])[:20]) == checksum(bytes(answer[ICMP])) == 0


def test_padding_of_the_frame_is_no_part_of_the_answer() -> None:
    padded = bytes(echo("10.0.2.2", b"")) + bytes(18)
    (answer,) = Peer().answer(padded)
    assert len(answer) == 14 + 20 + 8


def test_options_of_the_request_are_skipped() -> None:
    answer = ask(echo("10.0.2.2", options=[IPOption_NOP()] * 4))
    assert answer is not None
    assert answer[IP].ihl == 5
    assert answer[ICMP].type == 0


def test_what_has_no_answer() -> None:
    assert ask(echo("10.0.9.9")) is None
    assert ask(echo("10.0.2.2", flags="MF")) is None
    assert ask(echo("10.0.2.2", chksum=0x1234)) is None
    assert ask(Ether(src=GUEST, dst=ROUTER) / IP(dst="10.0.2.2") / ICMP(chksum=0x1234)) is None
    assert ask(Ether(src=GUEST, dst="52:54:00:00:00:01") / IP(dst="10.0.2.2") / ICMP()) is None


def test_a_peer_of_ones_own() -> None:
    peer = Peer("10.7.0.1", beyond=["10.8.0.1", "10.8.0.2"])
    packet = echo("10.8.0.2")
    packet.dst = "52:55:0a:07:00:01"
    answer = ask(packet, peer)
    assert answer is not None
    assert answer[IP].src == "10.8.0.2"


def test_garbage_has_no_answer_and_does_no_harm() -> None:
    good = bytes(echo("10.0.2.2"))
    for size in range(len(good)):
        assert Peer().answer(good[:size]) == [], "cut off"
    for _ in range(2000):
        assert Peer().answer(good[:12] + os.urandom(60)) == []
