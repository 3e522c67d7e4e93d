# SPDX-License-Identifier: MIT
"""Network cards, what they are wired to, and captures of what went over the wire."""

from r4l.net.interface import Interface, PacketsLost
from r4l.net.nic import Backend, Nic
from r4l.net.pcap import Packet, read_pcap

__all__ = ["Backend", "Interface", "Nic", "Packet", "PacketsLost", "read_pcap"]
