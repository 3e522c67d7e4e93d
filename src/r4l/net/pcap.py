# SPDX-License-Identifier: MIT
"""Captures as files: classic pcap, Ethernet, written by QEMU's filter-dump or by a `Wire`.

Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html. A capture is read while the VM runs, so its last
packet may be incomplete; it is then skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from r4l.errors import UsageError

if TYPE_CHECKING:
    from scapy.packet import Packet as ScapyPacket

HEADER_SIZE = 24
RECORD_SIZE = 16
SNAPLEN = 262144
ETHERNET = 1
LARGEST = 64 << 20
"""Bytes of a capture. Later packets are dropped, so that a guest cannot fill the disk."""
MAGIC = 0xA1B2C3D4
"""Magic number of files with time stamps in microseconds."""


@dataclass(frozen=True)
class Packet:
    """A packet of a capture.

    Attributes:
        time: seconds since 1970, by the host's clock.
        data: bytes from the Ethernet header on, without FCS.
        length: length on the wire; more than `len(data)` if the capture cut the packet.
    """

    time: float
    data: bytes
    length: int

    def scapy(self) -> ScapyPacket:
        """Return the packet dissected by scapy."""
        # Imported here, since scapy takes most of a second. Layers that were not imported stay undissected.
        from scapy.layers import inet, inet6  # noqa: F401
        from scapy.layers.l2 import Ether

        return Ether(self.data)


def read_pcap(path: Path) -> Iterator[Packet]:
    """Yield the packets of a capture, oldest first.

    Raises:
        UsageError: the file is no pcap of Ethernet, or damaged.
    """
    data = path.read_bytes()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(data[:4])
    if order is None or len(data) < HEADER_SIZE:
        raise UsageError(f"{path} is no pcap file")
    (kind,) = struct.unpack_from(order + "I", data, 20)
    if kind != ETHERNET:
        raise UsageError(f"{path} is a capture of link type {kind}, not of Ethernet")
    position = HEADER_SIZE
    while position + RECORD_SIZE <= len(data):
        seconds, micros, kept, length = struct.unpack_from(order + "IIII", data, position)
        if kept > SNAPLEN:
            raise UsageError(f"{path} is damaged at offset {position}: a packet of {kept} bytes")
        position += RECORD_SIZE
        if position + kept > len(data):
            return
        yield Packet(seconds + micros / 1e6, data[position : position + kept], length)
        position += kept


class PcapWriter:
    """Writer of a capture.

    Args:
        path: the file; an existing one is replaced.
        largest: its maximum size in bytes.

    Attributes:
        dropped: packets dropped because the file was full.
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self.dropped = 0
        self._room = largest - HEADER_SIZE
        self._file = path.open("wb")
        self._file.write(struct.pack("<IHHiIII", MAGIC, 2, 4, 0, 0, SNAPLEN, ETHERNET))

    def write(self, packet: Packet) -> None:
        """Add a packet.

        After the first dropped packet all later ones are dropped too, so that the capture has no gaps.
        """
        self._room -= RECORD_SIZE + len(packet.data)
        if self._room < 0:
            self.dropped += 1
            return
        seconds, micros = divmod(round(packet.time * 1e6), 1_000_000)
        self._file.write(struct.pack("<IIII", seconds, micros, len(packet.data), packet.length) + packet.data)

    def flush(self) -> None:
        """Flush all packets to the file for its readers."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()
