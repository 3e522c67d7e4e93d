# SPDX-License-Identifier: MIT
"""Decode a capture: packets in words, echo requests paired with their replies, round-trip times.

A capture holds what guest and gateway sent, so it is not trusted: scapy decodes each packet separately, and a packet
that it cannot decode becomes a note.
"""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from r4l.net.pcap import HEADER_SIZE, RECORD_SIZE, read_pcap
from r4l.report import clean

MAX_DECODED = 2000
MAX_COUNTED = 1_000_000
MAX_DISSECTED_BYTES = 2048
_INFO_LENGTH = 140
# ICMPv6 message types that a network stack sends by itself: multicast listener and neighbour discovery.
_MLD = {130: "listener query", 131: "listener report", 132: "listener done", 143: "listener report v2"}
_DISCOVERY = {
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    137: "redirect",
}


@dataclass
class DecodedPacket:
    """One packet in words.

    Attributes:
        number: from 1, in the order of the capture.
        time: seconds since the first packet.
        source: IP address if there is one, else the MAC.
        mac: the sender's MAC; `to_mac` the receiver's.
        kind: `arp`, `request`, `reply` (ICMP echo), `noise` (IPv6 housekeeping) or `other`.
        length: bytes on the wire.
        echo: key that pairs a request with its reply: (asker, asked, id, sequence number).
        rtt: for a request, seconds until its reply; None without a reply.
    """

    number: int
    time: float
    length: int
    source: str = "?"
    destination: str = "?"
    mac: str = ""
    to_mac: str = ""
    protocol: str = "?"
    info: str = ""
    kind: str = "other"
    echo: tuple[str, str, int, int] | None = None
    rtt: float | None = None


@dataclass
class Capture:
    """One pcap file.

    Attributes:
        name: its file name.
        packets: the decoded packets, at most `MAX_DECODED`.
        total: number of all packets; `bytes` their length on the wire.
        notes: sentences about faults of the file.
        protocols: protocol to number of decoded packets, most frequent first.
        guest: MAC of the guest's card; `guest_ip` and `peer_ip` the two ends of the ping.
    """

    name: str
    packets: list[DecodedPacket] = field(default_factory=list)
    total: int = 0
    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    protocols: dict[str, int] = field(default_factory=dict)
    guest: str = ""
    guest_ip: str = ""
    peer: str = ""
    peer_ip: str = ""

    @property
    def requests(self) -> list[DecodedPacket]:
        """The echo requests."""
        return [packet for packet in self.packets if packet.kind == "request"]

    @property
    def rtts(self) -> list[float]:
        """Round-trip times in milliseconds, in order."""
        return [1000 * packet.rtt for packet in self.requests if packet.rtt is not None]

    @property
    def rtt_summary(self) -> tuple[float, float, float] | None:
        """Minimum, median and maximum in milliseconds; None if no echo was answered."""
        return (min(self.rtts), statistics.median(self.rtts), max(self.rtts)) if self.rtts else None

    @property
    def duration(self) -> float:
        """Seconds from the first to the last decoded packet."""
        return max((packet.time for packet in self.packets), default=0.0)


def read(file: Path) -> Capture:
    """Decode a pcap file. Faults in the content are noted and never raised."""
    capture = Capture(file.name)
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    try:
        if file.stat().st_size == 0:
            capture.notes.append("The capture is empty: not even its header was written.")
            return capture
        for raw, number, time, length in _records(file, capture):
            capture.total = number
            capture.bytes += length
            if number <= MAX_DECODED:
                capture.packets.append(_decode(raw, DecodedPacket(number, time, length)))
            elif number >= MAX_COUNTED:
                capture.notes.append(f"Packets after the first {MAX_COUNTED:,} were not counted.")
                break
    except OSError as error:
        capture.notes.append(f"The capture cannot be read: {error.strerror or error}.")
    except Exception as error:  # noqa: BLE001 (a page is made of whatever is there)
        what = clean.line(str(error).replace(str(file), file.name), 120) or type(error).__name__
        capture.notes.append(f"The capture is damaged after packet {capture.total}: {what}.")
    capture.protocols = dict(Counter(packet.protocol for packet in capture.packets).most_common())
    _pair(capture.packets)
    _name_ends(capture)
    return capture


def decoded(raw: bytes) -> DecodedPacket:
    """Return one packet in words.

    Args:
        raw: its first bytes, from the destination address on.
    """
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    return _decode(raw, DecodedPacket(1, 0.0, len(raw)))


def _records(file: Path, capture: Capture) -> Iterator[tuple[bytes, int, float, int]]:
    """Raw packets with number, seconds since the first, and length; notes a capture that was cut short."""
    number, begin, used = 0, 0.0, HEADER_SIZE
    for number, packet in enumerate(read_pcap(file), 1):
        begin = packet.time if number == 1 else begin
        used += RECORD_SIZE + len(packet.data)
        yield packet.data, number, round(packet.time - begin, 6), packet.length
    if used != file.stat().st_size:
        capture.notes.append(f"The capture is cut short: the record at or after packet {number} is not whole.")


def _decode(raw: bytes, packet: DecodedPacket) -> DecodedPacket:
    """Fill in the description of a packet."""
    import scapy.layers.inet6  # noqa: F401 (teaches Ether what it may carry)
    from scapy.layers.l2 import Ether

    try:
        frame = Ether(raw[:MAX_DISSECTED_BYTES])
        packet.mac, packet.to_mac = str(frame.src or ""), str(frame.dst or "")
        packet.source, packet.destination = packet.mac or "?", packet.to_mac or "?"
        _describe(frame, packet)
    except Exception as error:  # noqa: BLE001 (a packet made to confuse a decoder)
        packet.protocol, packet.kind = "undecoded", "other"
        packet.info = f"scapy: {type(error).__name__}"
    for name in ("source", "destination", "protocol", "info"):
        setattr(packet, name, clean.line(getattr(packet, name), _INFO_LENGTH))
    return packet


def _describe(frame: object, packet: DecodedPacket) -> None:
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP
    from scapy.packet import Packet as ScapyPacket

    assert isinstance(frame, ScapyPacket)
    if ARP in frame:
        arp = frame[ARP]
        packet.source, packet.protocol, packet.kind = str(arp.psrc), "ARP", "arp"
        packet.destination = "broadcast" if packet.to_mac == "ff:ff:ff:ff:ff:ff" else str(arp.pdst)
        if arp.op == 1:
            packet.info = f"who has {arp.pdst}? tell {arp.psrc}"
        else:
            packet.info = f"{arp.psrc} is at {arp.hwsrc}" if arp.op == 2 else f"operation {arp.op}"
    elif IP in frame:
        ip = frame[IP]
        packet.source, packet.destination = str(ip.src), str(ip.dst)
        if ICMP in ip and ip[ICMP].type in (0, 8):
            _describe_echo(int(ip[ICMP].type), int(ip[ICMP].id or 0), int(ip[ICMP].seq or 0), packet)
            return
        packet.protocol = next((layer.__name__ for layer in (ICMP, UDP, TCP) if layer in ip), "IPv4")
        packet.info = str(ip.summary()).removeprefix("IP / ")
    elif IPv6 in frame:
        _describe_v6(frame[IPv6], packet)
    else:
        packet.protocol = f"0x{int(getattr(frame, 'type', 0) or 0):04x}"
        packet.info = str(frame.summary())


def _describe_echo(icmp_type: int, identifier: int, sequence: int, packet: DecodedPacket) -> None:
    packet.protocol, packet.kind = "ICMP", "request" if icmp_type == 8 else "reply"
    packet.info = f"echo {packet.kind}, id 0x{identifier:04x}, seq {sequence}"
    ends = (packet.source, packet.destination) if icmp_type == 8 else (packet.destination, packet.source)
    packet.echo = (*ends, identifier, sequence)


def _describe_v6(ip: object, packet: DecodedPacket) -> None:
    from scapy.layers.inet import TCP, UDP
    from scapy.packet import Packet as ScapyPacket

    assert isinstance(ip, ScapyPacket)
    packet.source, packet.destination, packet.protocol = str(ip.src), str(ip.dst), "IPv6"
    packet.info = str(ip.summary()).removeprefix("IPv6 / ")
    messages = (layer for layer in ip.iterpayloads() if type(layer).__name__.startswith("ICMPv6"))
    number = next((layer.fields.get("type") for layer in messages), None)
    if number in _MLD:
        packet.protocol, packet.info, packet.kind = "MLD", f"multicast {_MLD[number]}", "noise"
    elif number in _DISCOVERY:
        packet.protocol, packet.info, packet.kind = "NDP", _DISCOVERY[number], "noise"
    elif UDP in ip or TCP in ip:
        packet.protocol = "UDP" if UDP in ip else "TCP"
    elif number is not None:
        packet.protocol = "ICMPv6"


def _pair(packets: list[DecodedPacket]) -> None:
    """Set the round-trip time of each answered echo request."""
    waiting: dict[tuple[str, str, int, int], DecodedPacket] = {}
    for packet in packets:
        if packet.echo is None:
            continue
        if packet.kind == "request":
            waiting[packet.echo] = packet
        elif request := waiting.pop(packet.echo, None):
            request.rtt = max(0.0, packet.time - request.time)


def _name_ends(capture: Capture) -> None:
    """Determine the guest's card: the first to ask, by echo or ARP, else the first sender."""
    packets = capture.packets
    opener = next(
        (packet for kind in ("request", "arp") for packet in packets if packet.kind == kind),
        packets[0] if packets else None,
    )
    if opener is None:
        return
    capture.guest = opener.mac
    for packet in packets:
        if packet.kind not in ("request", "reply", "arp"):
            continue
        if packet.mac == capture.guest:
            capture.guest_ip = capture.guest_ip or packet.source
        else:
            capture.peer = capture.peer or packet.mac
            capture.peer_ip = capture.peer_ip or packet.source
    if opener.kind == "request" and not capture.peer_ip:
        capture.peer, capture.peer_ip = opener.to_mac, opener.destination
