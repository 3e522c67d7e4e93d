# SPDX-License-Identifier: MIT
"""A peer on an Ethernet that answers ARP (RFC 826) and ICMP echo (RFC 792), IPv4 only.

It works on bytes: dissecting a packet with scapy takes a thousand times longer than the answer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

from r4l.net.addresses import BEYOND, GATEWAY

ETHERTYPE_IP, ETHERTYPE_ARP = 0x0800, 0x0806
ARP_FORMAT = "!HHBBH6s4s6s4s"
ARP_REQUEST, ARP_REPLY = 1, 2
IPPROTO_ICMP = 1
ECHO_REQUEST, ECHO_REPLY = 8, 0
FRAGMENT = 0x3FFF
"""Bits of an IP header's fragment field: more fragments, and the offset."""
TTL = 64
BROADCAST = b"\xff" * 6


class Peer:
    """A router with hosts behind it. Frames with wrong checksums get no answer.

    Args:
        address: the router's own address; its MAC is 52:55 and these four bytes, as on QEMU's user network.
        beyond: hosts behind the router, one hop away.
    """

    def __init__(self, address: str = GATEWAY, beyond: Iterable[str] = (BEYOND,)) -> None:
        self.address = IPv4Address(address)
        self.beyond = {IPv4Address(host) for host in beyond}
        self.mac = b"\x52\x55" + self.address.packed

    def answer(self, frame: bytes) -> list[bytes]:
        """Return the answers to a frame of the guest."""
        if frame[:6] not in (self.mac, BROADCAST) or len(frame) < 14:
            return []
        (ethertype,) = struct.unpack_from("!H", frame, 12)
        body = frame[14:]
        answer = self._arp(body) if ethertype == ETHERTYPE_ARP else self._ip(body) if ethertype == ETHERTYPE_IP else b""
        return [frame[6:12] + self.mac + frame[12:14] + answer] if answer else []

    def _arp(self, body: bytes) -> bytes:
        if len(body) < struct.calcsize(ARP_FORMAT):
            return b""
        hardware, protocol, _, _, operation, mac, ip, _, wanted = struct.unpack_from(ARP_FORMAT, body)
        if (hardware, protocol, operation) != (1, ETHERTYPE_IP, ARP_REQUEST) or wanted != self.address.packed:
            return b""
        return struct.pack(ARP_FORMAT, 1, ETHERTYPE_IP, 6, 4, ARP_REPLY, self.mac, wanted, mac, ip)

    def _ip(self, body: bytes) -> bytes:
        if len(body) < 20 or body[0] >> 4 != 4:
            return b""
        size = (body[0] & 15) * 4
        length, fragment = struct.unpack_from("!2xH2xH", body)
        header, payload = body[:size], body[size:length]
        if size < 20 or length > len(body) or fragment & FRAGMENT or checksum(header):
            return b""
        target = IPv4Address(header[16:20])
        if header[9] != IPPROTO_ICMP or not (target == self.address or target in self.beyond):
            return b""
        if len(payload) < 8 or payload[0] != ECHO_REQUEST or checksum(payload):
            return b""
        echo = _with_checksum(bytes([ECHO_REPLY]) + payload[1:], 2)
        # IP options of the request are not repeated.
        back = struct.pack(
            "!BxHHHBBxx4s4s",
            0x45,
            20 + len(echo),
            0,
            0,
            TTL - (target in self.beyond),
            IPPROTO_ICMP,
            header[16:20],
            header[12:16],
        )
        return _with_checksum(back, 10) + echo


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071); 0 for data that contain their correct checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _with_checksum(data: bytes, place: int) -> bytes:
    blank = data[:place] + b"\0\0" + data[place + 2 :]
    return blank[:place] + struct.pack("!H", checksum(blank)) + blank[place + 2 :]
