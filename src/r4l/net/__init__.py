# SPDX-License-Identifier: MIT
"""Network cards, their cables, and captures of the traffic."""

from r4l.net.cable import Cable, crossover
from r4l.net.interface import Interface, PacketsLost
from r4l.net.nic import Backend, Nic
from r4l.net.pcap import Packet, read_pcap
from r4l.net.peer import Peer
from r4l.net.tap import Tap
from r4l.net.wire import Wire

__all__ = [
    "Backend",
    "Cable",
    "Interface",
    "Nic",
    "Packet",
    "PacketsLost",
    "Peer",
    "Tap",
    "Wire",
    "crossover",
    "read_pcap",
]
