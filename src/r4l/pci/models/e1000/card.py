# SPDX-License-Identifier: MIT
"""The card as a whole: identity, I/O ports, reset, cable, errata.

Source: Intel 8254x Software Developer's Manual (317453), 4.1 (configuration space), 13.2.2 (I/O ports), 14.7 (reset).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from r4l.net import Cable
from r4l.net.nic import FIRST_MAC
from r4l.pci.access import Reset
from r4l.pci.models.e1000.descriptors import RECEIVE_RING, TRANSMIT_RING
from r4l.pci.models.e1000.eeprom import EepromPort, Microwire, contents
from r4l.pci.models.e1000.others import Others
from r4l.pci.models.e1000.phy import Phy
from r4l.pci.models.e1000.transmit import Transmitter
from r4l.pci.registers import RO, RW, Field, Register, Word

FLASH = 0x20000
"""First offset beyond the registers and memories, of IOADDR (Table 13-1)."""
RESET = 1 << 26
"""CTRL.RST (13.4.1)."""


@dataclass(frozen=True)
class Errata:
    """Faults of real cards, as switches.

    Attributes:
        early_write_back: descriptors of large sends are reported as done before all of their data was read from memory
            (`Transmitter.early_write_back`).
        resets_by_io_only: a reset by a write to the memory BAR does nothing; only one by the I/O ports resets the card.
        writes_by_io_only: writes to the memory BAR are lost; only those by the I/O ports arrive.
        eeprom_seconds: time until the EEPROM answers, by EERD and after a request by EECD.
    """

    early_write_back: bool = False
    resets_by_io_only: bool = False
    writes_by_io_only: bool = False
    eeprom_seconds: float = 0.0


class E1000(Transmitter, EepromPort, Others):
    """82540EM (8086:100e), as on the PRO/1000 MT Desktop Adapter.

    Args:
        mac: address in the EEPROM.
        cable: the cable in its socket, as for every `NetworkCard`.
        errata: faults of real cards.

    Attributes:
        eeprom: contents of the EEPROM are `eeprom.words`.
        phy: the PHY.
        errata: faults of real cards.
    """

    actions: ClassVar[Mapping[str, str]] = {"link-flap": "flap", "link-down": "pull_cable", "crc-error": "damage_next"}
    rings = (TRANSMIT_RING, RECEIVE_RING)
    interrupt_mask = "IMS"
    phy_identifier = 0x0C20

    IOADDR = Register(0x0, bar=2, access=RO, fields={"OFFSET": Field(19, 0, RW)})
    IODATA = Register(0x4, bar=2)

    def __init__(self, mac: str = FIRST_MAC, *, cable: Cable | None = None, errata: Errata | None = None) -> None:
        super().__init__(mac, cable=cable)
        self.errata = errata or Errata()
        self.early_write_back, self.eeprom_seconds = self.errata.early_write_back, self.errata.eeprom_seconds
        self.eeprom = Microwire(contents(self.mac, self.device_id))
        self.phy = Phy(self.phy_identifier, self.begin_negotiation, self.update_status)
        self._through_io = self._damaged = False
        self.set_up_receiver()
        self.set_up_transmitter()
        self.load_eeprom()

    # -- cable --------------------------------------------------------------------------------------------------------

    def on_line_free(self) -> None:
        """Go on with the ring."""
        self.transmit()

    def pull_cable(self) -> None:
        """Pull the cable out."""
        self.set_cable(False)

    def damage_next(self) -> None:
        """Let the next frame from the line arrive with a wrong FCS."""
        self._damaged = True

    def arrive(self, frame: bytes) -> None:
        """Receive a frame from the cable, with a wrong FCS if the next one was to be damaged."""
        damaged, self._damaged = self._damaged, False
        self.receive(frame, crc_error=damaged)

    # -- reset ---------------------------------------------------------------------------------------------------------

    def on_reset(self, reason: Reset) -> None:
        """Bring all parts to their state after a reset (14.7)."""
        self.reset_interrupts()
        self.reset_receiver()
        self.reset_transmitter()
        self.reset_link(reason)
        self.load_eeprom()

    def load_eeprom(self) -> None:
        """Take the address from the EEPROM (5.6.1)."""
        self.set_address(b"".join(word.to_bytes(2, "little") for word in self.eeprom.words[:3]))

    # -- accesses ------------------------------------------------------------------------------------------------------

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        """Apply the guest's write; with the errata, one to the memory BAR, or its reset, is lost."""
        if bar == 0 and not self._through_io:
            if self.errata.writes_by_io_only:
                self.trace.add("refused", None, bar, offset, size, value, "writes arrive by the I/O ports only")
                return
            if self.errata.resets_by_io_only and offset == E1000.CTRL.offset and value & RESET:
                self.trace.add("refused", None, bar, offset, size, value, "CTRL.RST: reset by the I/O ports only")
                value &= ~RESET
        super().bar_write(bar, offset, size, value)

    @IODATA.on_read
    def read_by_io(self, value: Word) -> int:
        """Return the register that IOADDR names (13.2.2.2)."""
        place = self.IOADDR
        return self.bar_read(0, place, 4) if place < FLASH else 0

    @IODATA.on_write
    def write_by_io(self, old: Word, new: Word) -> None:
        """Write the register that IOADDR names (13.2.2.2)."""
        if self.IOADDR >= FLASH:
            return
        self._through_io = True
        try:
            self.bar_write(0, self.IOADDR, 4, new)
        finally:
            self._through_io = False


class E1000Gc(E1000):
    """82544GC (8086:100c), as on the PRO/1000 T Desktop Adapter: no arbiter for the EEPROM, another PHY."""

    device_id = 0x100C
    subsystem_id = 0x1112
    phy_identifier = 0x0C30
    eeprom_arbiter = False


class E1000Server(E1000):
    """82545EM (8086:100f), as on the PRO/1000 MT Server Adapter."""

    device_id = 0x100F
    revision = 0x01
    subsystem_id = 0x1001
