# SPDX-License-Identifier: MIT
"""Identity and BARs: what all parts of the card's description share.

Source: Intel 8254x Software Developer's Manual (317453), 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from r4l.pci.capabilities import Capability, PowerManagement
from r4l.pci.layout import Bar
from r4l.pci.network import NetworkCard


class Chip(NetworkCard):
    """An 82540EM without a register. Each part of the card adds its own."""

    vendor_id = 0x8086
    device_id = 0x100E
    class_code = 0x020000
    revision = 0x02
    subsystem_vendor_id = 0x8086
    subsystem_id = 0x001E
    # The EEPROM may choose BARs of 32 or of 64 bits (4.1); with 32 the ports are in BAR 2.
    bars = (Bar(1 << 17), None, Bar(8, io=True))
    capabilities: ClassVar[Sequence[Capability]] = (PowerManagement(pme=0b11001, keeps=False),)

    def raw(self, name: str) -> int:
        """Return a register's value as a plain integer, for each packet's way: a `Word` costs ten times as much."""
        return self._values[self.layout.slots[name]]
