# SPDX-License-Identifier: MIT
"""The statistics: registers that count, are cleared by a read, and stick at their maximum.

Source: Intel 8254x Software Developer's Manual (317453), 13.7.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from r4l.pci.fields import RC, RO
from r4l.pci.models.e1000.chip import Chip
from r4l.pci.registers import Register, Word

CRC = 4
"""Bytes of the frame's checksum, which the counters include."""
STEPS = (64, 127, 255, 511, 1023)
"""Sizes up to which a frame, with its checksum, counts in PRC64, PRC127, …; longer ones count in PRC1522."""


class Names(NamedTuple):
    """Counters of one direction.

    Attributes:
        sizes: by `STEPS`.
        good, total, broadcast, multicast: of frames.
        octets, total_octets: of bytes, without L or H.
    """

    sizes: tuple[str, ...]
    good: str
    total: str
    broadcast: str
    multicast: str
    octets: str
    total_octets: str


RECEIVED = Names(
    ("PRC64", "PRC127", "PRC255", "PRC511", "PRC1023", "PRC1522"), "GPRC", "TPR", "BPRC", "MPRC", "GORC", "TOR"
)
SENT = Names(
    ("PTC64", "PTC127", "PTC255", "PTC511", "PTC1023", "PTC1522"), "GPTC", "TPT", "BPTC", "MPTC", "GOTC", "TOT"
)
FULL = (1 << 32) - 1
FULL_OCTETS = (1 << 64) - 1


class Statistics(Chip):
    """The counters (Table 13-2)."""

    CRCERRS = Register(0x4000, access=RC)
    ALGNERRC = Register(0x4004, access=RC)
    SYMERRS = Register(0x4008, access=RC)
    RXERRC = Register(0x400C, access=RC)
    MPC = Register(0x4010, access=RC)
    SCC = Register(0x4014, access=RC)
    ECOL = Register(0x4018, access=RC)
    MCC = Register(0x401C, access=RC)
    LATECOL = Register(0x4020, access=RC)
    COLC = Register(0x4028, access=RC)
    DC = Register(0x4030, access=RC)
    TNCRS = Register(0x4034, access=RC)
    SEC = Register(0x4038, access=RC)
    CEXTERR = Register(0x403C, access=RC)
    RLEC = Register(0x4040, access=RC)
    XONRXC = Register(0x4048, access=RC)
    XONTXC = Register(0x404C, access=RC)
    XOFFRXC = Register(0x4050, access=RC)
    XOFFTXC = Register(0x4054, access=RC)
    FCRUC = Register(0x4058, access=RC)
    PRC64 = Register(0x405C, access=RC)
    PRC127 = Register(0x4060, access=RC)
    PRC255 = Register(0x4064, access=RC)
    PRC511 = Register(0x4068, access=RC)
    PRC1023 = Register(0x406C, access=RC)
    PRC1522 = Register(0x4070, access=RC)
    GPRC = Register(0x4074, access=RC)
    BPRC = Register(0x4078, access=RC)
    MPRC = Register(0x407C, access=RC)
    GPTC = Register(0x4080, access=RC)
    RNBC = Register(0x40A0, access=RC)
    RUC = Register(0x40A4, access=RC)
    RFC = Register(0x40A8, access=RC)
    ROC = Register(0x40AC, access=RC)
    RJC = Register(0x40B0, access=RC)
    MGTPRC = Register(0x40B4, access=RC)
    MGTPDC = Register(0x40B8, access=RC)
    MGTPTC = Register(0x40BC, access=RC)
    TPR = Register(0x40D0, access=RC)
    TPT = Register(0x40D4, access=RC)
    PTC64 = Register(0x40D8, access=RC)
    PTC127 = Register(0x40DC, access=RC)
    PTC255 = Register(0x40E0, access=RC)
    PTC511 = Register(0x40E4, access=RC)
    PTC1023 = Register(0x40E8, access=RC)
    PTC1522 = Register(0x40EC, access=RC)
    MPTC = Register(0x40F0, access=RC)
    BPTC = Register(0x40F4, access=RC)
    TSCTC = Register(0x40F8, access=RC)
    TSCTFC = Register(0x40FC, access=RC)
    # The low half keeps its value until the high one is read (13.7.31).
    GORCL, GORCH = Register(0x4088, access=RO), Register(0x408C, access=RC)
    GOTCL, GOTCH = Register(0x4090, access=RO), Register(0x4094, access=RC)
    TORL, TORH = Register(0x40C0, access=RO), Register(0x40C4, access=RC)
    TOTL, TOTH = Register(0x40C8, access=RO), Register(0x40CC, access=RC)

    @GORCH.on_read
    def take_good_received(self, value: Word) -> int:
        """Return the upper half; both are cleared."""
        self.GORCL = 0
        return value

    @GOTCH.on_read
    def take_good_sent(self, value: Word) -> int:
        """Return the upper half; both are cleared."""
        self.GOTCL = 0
        return value

    @TORH.on_read
    def take_received(self, value: Word) -> int:
        """Return the upper half; both are cleared."""
        self.TORL = 0
        return value

    @TOTH.on_read
    def take_sent(self, value: Word) -> int:
        """Return the upper half; both are cleared."""
        self.TOTL = 0
        return value

    def count(self, name: str) -> None:
        """Add one to a counter of 32 bits."""
        slot, values = self.layout.slots[name], self._values
        if values[slot] < FULL:
            values[slot] += 1

    def count_octets(self, name: str, by: int) -> None:
        """Add to a counter of 64 bits, by its name without L or H."""
        values, slots = self._values, self.layout.slots
        low, high = slots[f"{name}L"], slots[f"{name}H"]
        values[low] += by
        if values[low] > FULL:
            total = min((values[high] << 32) + values[low], FULL_OCTETS)
            values[low], values[high] = total & FULL, total >> 32

    def count_sent(self, frame: bytes) -> None:
        """Count a frame, without its checksum, that was sent (13.7.30, 13.7.32, 13.7.42 and on)."""
        self._count(SENT, frame)

    def count_received(self, frame: bytes) -> None:
        """Count a good frame, without its checksum, that passed the filters (13.7.21 and on)."""
        self._count(RECEIVED, frame)

    def _count(self, names: Names, frame: bytes) -> None:
        size = len(frame) + CRC
        self.count(names.sizes[bisect_left(STEPS, size)])
        self.count(names.good)
        self.count(names.total)
        self.count_octets(names.octets, size)
        self.count_octets(names.total_octets, size)
        if frame[0] & 1:
            self.count(names.broadcast if frame[:6] == b"\xff" * 6 else names.multicast)

    def count_total_received(self, frame: bytes) -> None:
        """Count a frame among all received ones only: a bad or a missed one (13.7.41, 13.7.43)."""
        self.count("TPR")
        self.count_octets("TOR", len(frame) + CRC)
