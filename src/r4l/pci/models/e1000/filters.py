# SPDX-License-Identifier: MIT
"""Filters of received frames: addresses, the multicast table, VLANs.

Source: Intel 8254x Software Developer's Manual (317453), 3.2.1 (order of the filters), 9.3 (VLANs), 13.5 (tables).
"""

from __future__ import annotations

from r4l.pci.arrays import RegisterArray
from r4l.pci.fields import RO, RW, Field
from r4l.pci.models.e1000.chip import Chip
from r4l.pci.models.e1000.control import Control
from r4l.pci.registers import Register, Word

ADDRESSES = 16
HASH_SHIFTS = (4, 3, 2, 0)
"""Bits of the last two bytes of an address that index the multicast table, by RCTL.MO: 47:36, 46:35, 45:34, 43:32
(13.4.22)."""
BROADCAST = b"\xff" * 6


class Filters(Chip):
    """The tables, and the decision about a frame.

    Attributes:
        overwrites_even_words: True if a write of an odd word of MTA or VFTA overwrites the even word before it: an
            erratum of the 82544, says the C driver (`e1000_write_vfta`).
    """

    MTA = RegisterArray(0x5200, count=128, sticky=True)
    RAL = RegisterArray(0x5400, count=ADDRESSES, stride=8)
    RAH = RegisterArray(
        0x5404,
        count=ADDRESSES,
        stride=8,
        access=RO,
        fields={"ADDRESS": Field(15, 0, RW), "AS": Field(17, 16, RW), "AV": Field(31, 31, RW)},
    )
    VFTA = RegisterArray(0x5600, count=128, sticky=True)
    VET = Register(0x0038, reset=0x8100, access=RO, fields={"VET": Field(15, 0, RW)})

    _addresses: frozenset[bytes] = frozenset()
    overwrites_even_words = False

    @MTA.on_write
    def set_groups(self, index: int, old: Word, new: Word) -> None:
        """Change a word of the multicast table, and by the erratum the one before it."""
        if self.overwrites_even_words and index % 2:
            self.MTA[index - 1] = new

    @VFTA.on_write
    def set_vlans(self, index: int, old: Word, new: Word) -> None:
        """Change a word of the VLAN table, and by the erratum the one before it."""
        if self.overwrites_even_words and index % 2:
            self.VFTA[index - 1] = new

    @RAL.on_write
    def set_low(self, index: int, old: Word, new: Word) -> None:
        """Change an address."""
        self.update_addresses()

    @RAH.on_write
    def set_high(self, index: int, old: Word, new: Word) -> None:
        """Change an address."""
        self.update_addresses()

    def update_addresses(self) -> None:
        """Collect the valid receive addresses."""
        both = zip(self.RAL, self.RAH, strict=True)
        self._addresses = frozenset(
            int(low).to_bytes(4, "little") + int(high.ADDRESS).to_bytes(2, "little") for low, high in both if high.AV
        )

    def set_address(self, mac: bytes) -> None:
        """Set the first receive address, as the EEPROM does after a reset (5.6.1, 13.5.3)."""
        self.RAL[0] = int.from_bytes(mac[:4], "little")
        self.RAH[0] = int.from_bytes(mac[4:6], "little") | 1 << 31
        self.update_addresses()

    def is_for_us(self, address: bytes, control: Control) -> bool:
        """Return True if a frame to this address passes, by RCTL, addresses and table."""
        if address in self._addresses:
            return True
        if not address[0] & 1:
            return control.unicast
        if address == BROADCAST and control.broadcast:
            return True
        return control.multicast or self._hashed(address, control.hash)

    def is_exact(self, address: bytes, control: Control) -> bool:
        """Return False if only the multicast table let an address pass, so that software has to look (PIF)."""
        group = address[0] & 1 and address not in self._addresses
        return not group or control.multicast or (address == BROADCAST and control.broadcast)

    def _hashed(self, address: bytes, offset: int) -> bool:
        """Return the bit of the multicast table for an address."""
        place = int.from_bytes(address[4:6], "little") >> HASH_SHIFTS[offset] & 0xFFF
        return bool(self.MTA[place >> 5] >> (place & 0x1F) & 1)

    def is_our_vlan(self, tag: int) -> bool:
        """Return the bit of the VLAN table for a tag's identifier (9.3)."""
        return bool(self.VFTA[tag >> 5 & 0x7F] >> (tag & 0x1F) & 1)
