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
"""First word of files whose times are in microseconds."""
MAGIC_NANO = 0xA1B23C4D
"""First word of files whose times are in nanoseconds."""
FORMATS = {
    struct.pack(order + "I", magic): (order, unit)
    for order in "<>"
    for magic, unit in ((MAGIC, 1e6), (MAGIC_NANO, 1e9))
}
"""Byte order, and units of a time in a second, by a file's first four bytes."""


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
    with path.open("rb") as file:
        head = file.read(HEADER_SIZE)
        order, unit = FORMATS.get(head[:4], ("", 0.0))
        if not order or len(head) < HEADER_SIZE:
            raise UsageError(f"{path} is not a pcap file")
        (link_type,) = struct.unpack_from(order + "I", head, 20)
        if link_type != ETHERNET:
            raise UsageError(f"{path} is a capture of link type {link_type}, not of Ethernet")
        while len(record := file.read(RECORD_SIZE)) == RECORD_SIZE:
            seconds, fraction, kept, length = struct.unpack(order + "IIII", record)
            if kept > SNAPLEN:
                where = file.tell() - RECORD_SIZE
                raise UsageError(f"{path} is damaged at offset {where}: a packet of {kept} bytes")
            data = file.read(kept)
            if len(data) < kept:
                return
            yield Packet(seconds + fraction / unit, data, length)


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
