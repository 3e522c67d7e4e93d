# SPDX-License-Identifier: MIT
"""Work on whole frames that the card does for its driver: checksums, segmentation, VLAN tags.

Functions of bytes, without a card. Source: Intel 8254x Software Developer's Manual (317453), 3.2.9 (receive checksums),
3.3.6 (transmit checksums), 3.5 (segmentation), 9 (802.1Q).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from r4l.pci.models.e1000.descriptors import TUCMD_IP, TUCMD_TCP, Context

ADDRESSES = 12
"""Bytes of the two addresses, after which a VLAN tag stands."""
ETHERNET = 14
TAG = 4
IPV4, IPV6, SNAP_LENGTH = 0x0800, 0x86DD, 0x0600
TCP, UDP = 6, 17
FRAGMENT = 0x3FFF
"""More fragments, and the offset, in an IPv4 header."""
FIN, PSH = 0x01, 0x08
UDP_UNCHECKED = 0


def ones_sum(data: bytes) -> int:
    """Return the one's complement sum of 16 bits over bytes in network order (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    # 2 ** 16 is 1 modulo 65535, so the whole as one number has the same remainder as the sum of its words.
    number = int.from_bytes(data, "big")
    return (number % 0xFFFF or 0xFFFF) if number else 0


def insert_checksum(frame: bytearray, start: int, place: int, end: int, *, all_ones: bool = False) -> None:
    """Write a checksum into a frame, over the bytes that are there, including those at its own place.

    Args:
        frame: the frame.
        start: first byte of the sum.
        place: offset of the checksum.
        end: last byte of the sum; 0 for the end of the frame.
        all_ones: True to write 0xFFFF instead of 0, which says "no checksum" in UDP (RFC 768).
    """
    if place + 2 > len(frame) or start >= len(frame):
        # "If this is not the case, the checksum is not inserted" (3.3.6, IPCSO).
        return
    value = ~ones_sum(bytes(frame[start : end + 1 if end else len(frame)])) & 0xFFFF
    struct.pack_into("!H", frame, place, 0xFFFF if all_ones and not value else value)


def finish(frame: bytearray, context: Context, *, ip: bool, transport: bool) -> None:
    """Insert the checksums that a data descriptor asks for (3.3.6, 3.3.7.3).

    Args:
        frame: the frame, without FCS and without an inserted VLAN tag.
        context: the last context descriptor.
        ip: True for the checksum of the IP header (IXSM).
        transport: True for that of TCP or UDP (TXSM).
    """
    if transport:
        udp = not context.command & TUCMD_TCP
        insert_checksum(frame, context.tucss, context.tucso, context.tucse, all_ones=udp)
    if ip:
        insert_checksum(frame, context.ipcss, context.ipcso, context.ipcse)


def segments(header: bytes, payload: bytes, context: Context, *, ip: bool, transport: bool) -> Iterator[bytearray]:
    """Cut a large packet into frames, each with its headers and checksums (3.5.9).

    Args:
        header: prototype of the headers, `HDRLEN` bytes.
        payload: bytes after the headers.
        context: context with TSE.
        ip: True for checksums of the IP headers.
        transport: True for checksums of TCP or UDP.

    Yields:
        The frames, without FCS.
    """
    size = context.segment or len(payload) or 1
    tcp, version4 = context.command & TUCMD_TCP, context.command & TUCMD_IP
    for number, start in enumerate(range(0, max(len(payload), 1), size)):
        piece = payload[start : start + size]
        frame = bytearray(header) + piece
        last = start + size >= len(payload)
        _number_ip(frame, context.ipcss, number, version4=bool(version4))
        length = len(frame) - context.tucss
        if tcp:
            _number_tcp(frame, context.tucss, start, last=last)
        else:
            _put(frame, context.tucss + 4, length)
        if transport and context.tucso + 2 <= len(frame):
            # The driver has left the sum of the pseudo header there, without the length (Figure 3-7).
            _put(frame, context.tucso, ones_sum(bytes(frame[context.tucso : context.tucso + 2]) + _word(length)))
        finish(frame, context, ip=ip, transport=transport)
        yield frame


def _number_ip(frame: bytearray, at: int, number: int, *, version4: bool) -> None:
    """Write length and identification of an IP header (3.5.7, 3.5.9)."""
    if version4:
        _put(frame, at + 2, len(frame) - at)
        if number:
            _put(frame, at + 4, _get(frame, at + 4) + number)
    else:
        # The payload of IPv6 does not include its header; the manual's formula (3.5.9.1) is for version 4.
        _put(frame, at + 4, len(frame) - at - 40)


def _number_tcp(frame: bytearray, at: int, start: int, *, last: bool) -> None:
    """Write sequence number and flags of a TCP header (3.5.9)."""
    if at + ETHERNET <= len(frame):
        (sequence,) = struct.unpack_from("!I", frame, at + 4)
        struct.pack_into("!I", frame, at + 4, sequence + start & 0xFFFFFFFF)
        if not last:
            frame[at + 13] &= ~(FIN | PSH) & 0xFF


def _word(value: int) -> bytes:
    return (value & 0xFFFF).to_bytes(2, "big")


def _get(frame: bytearray, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def _put(frame: bytearray, at: int, value: int) -> None:
    if at + 2 <= len(frame):
        frame[at : at + 2] = _word(value)


# -- VLAN tags, chapter 9 ----------------------------------------------------------------------------------------------


def with_tag(frame: bytes, ether_type: int, tag: int) -> bytes:
    """Return a frame with a VLAN tag after its addresses."""
    return b"".join((frame[:ADDRESSES], ether_type.to_bytes(2, "big"), tag.to_bytes(2, "big"), frame[ADDRESSES:]))


def tag_of(frame: bytes, ether_type: int) -> int | None:
    """Return the tag of a frame with this VLAN Ethertype; None for another frame."""
    if len(frame) < ETHERNET + TAG or int.from_bytes(frame[12:14], "big") != ether_type:
        return None
    return int.from_bytes(frame[14:16], "big")


def without_tag(frame: bytes) -> bytes:
    """Return a frame without the VLAN tag after its addresses."""
    return frame[:ADDRESSES] + frame[ADDRESSES + TAG :]


# -- received frames, 3.2.9 --------------------------------------------------------------------------------------------


class ChecksumResult(NamedTuple):
    """Checksums of a received frame: None where there is none that the card checks, else True if it is right."""

    ip: bool | None = None
    transport: bool | None = None


def verify(frame: bytes) -> ChecksumResult:
    """Check the checksums of a received frame without VLAN tag (3.2.9, Table 3-5).

    Returns:
        The result; for IPv6, which has no header checksum, about TCP and UDP only.
    """
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == IPV4 and len(frame) >= ETHERNET + 20 and frame[14] >> 4 == 4:
        return _verify4(frame)
    if ethertype == IPV6 and len(frame) >= ETHERNET + 40 and frame[14] >> 4 == 6:
        end = ETHERNET + 40 + int.from_bytes(frame[18:20], "big")
        return ChecksumResult(
            None, _verify_transport(frame[20], frame[22:54], frame[54:end], complete=end <= len(frame))
        )
    return ChecksumResult()


def _verify4(frame: bytes) -> ChecksumResult:
    header = (frame[14] & 0xF) * 4
    start, end = ETHERNET + header, ETHERNET + int.from_bytes(frame[16:18], "big")
    if header < 20 or start > len(frame):
        return ChecksumResult()
    right = ones_sum(frame[ETHERNET:start]) == 0xFFFF
    if int.from_bytes(frame[20:22], "big") & FRAGMENT:
        return ChecksumResult(right, None)
    complete = start <= end <= len(frame)
    return ChecksumResult(right, _verify_transport(frame[23], frame[26:34], frame[start:end], complete=complete))


def _verify_transport(protocol: int, addresses: bytes, body: bytes, *, complete: bool) -> bool | None:
    place = {TCP: 16, UDP: 6}.get(protocol)
    if place is None or not complete or len(body) < place + 2:
        return None
    if protocol == UDP and int.from_bytes(body[6:8], "big") == UDP_UNCHECKED:
        return None
    return ones_sum(addresses + struct.pack("!II", len(body), protocol) + body) == 0xFFFF
