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
from r4l.pci.fields import RO, RW, Field
from r4l.pci.models.e1000.descriptors import RECEIVE_RING, TRANSMIT_RING
from r4l.pci.models.e1000.eeprom import EepromPort, Microwire, contents, with_checksum
from r4l.pci.models.e1000.others import Others
from r4l.pci.models.e1000.phy import Phy
from r4l.pci.models.e1000.transmit import Transmitter
from r4l.pci.registers import Register, Word

FLASH = 0x20000
"""First offset beyond the registers and memories, of IOADDR (13.2.2)."""
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
        overwrites_even_words: a write of an odd word of MTA or VFTA overwrites the even word before it
            (`Filters.overwrites_even_words`).
        eeprom_seconds: time until the EEPROM answers, by EERD and after a request by EECD.
    """

    early_write_back: bool = False
    resets_by_io_only: bool = False
    writes_by_io_only: bool = False
    overwrites_even_words: bool = False
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
        absent: offsets of registers that this card lacks: they read as 0, and writes are noted as refused.
        port: number of the port, of a controller that has two.
        pcix: True if the bus is PCI-X.
    """

    actions: ClassVar[Mapping[str, str]] = {"link-flap": "flap", "link-down": "pull_cable", "crc-error": "damage_next"}
    rings = (TRANSMIT_RING, RECEIVE_RING)
    interrupt_mask = "IMS"
    phy_identifier = 0x0C20
    absent: ClassVar[frozenset[int]] = frozenset()
    port = 0
    pcix = False

    IOADDR = Register(0x0, bar=2, access=RO, fields={"OFFSET": Field(19, 0, RW)})
    IODATA = Register(0x4, bar=2)

    def __init__(self, mac: str = FIRST_MAC, *, cable: Cable | None = None, errata: Errata | None = None) -> None:
        super().__init__(mac, cable=cable)
        self.errata = errata or Errata()
        self.early_write_back, self.eeprom_seconds = self.errata.early_write_back, self.errata.eeprom_seconds
        self.overwrites_even_words = self.errata.overwrites_even_words
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
        """Take the address from the EEPROM (5.6.1), and port and bus from the pins (13.4.2)."""
        words = [*self.eeprom.words[:2], self.eeprom.words[2] ^ self.port << 8]
        self.set_address(b"".join(word.to_bytes(2, "little") for word in words))
        self.STATUS = self.STATUS.replace(FUNC=self.port, PCIX=self.pcix)

    # -- accesses ------------------------------------------------------------------------------------------------------

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        """Return what the guest reads; 0 where this card has no register."""
        if bar == 0 and offset in self.absent:
            self.trace.add("refused", None, bar, offset, size, 0, f"no register at {offset:#x}")
            return 0
        return super().bar_read(bar, offset, size)

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        """Apply the guest's write; with the errata, one to the memory BAR, or its reset, is lost."""
        if bar == 0 and offset in self.absent:
            self.trace.add("refused", None, bar, offset, size, value, f"no register at {offset:#x}")
            return
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


class E1000Ep(E1000):
    """82540EP (8086:1017), of desktops (Table 5-1)."""

    device_id = 0x1017


class E1000Gc(E1000):
    """82544GC (8086:100c), as on the PRO/1000 T Desktop Adapter: no arbiter for the EEPROM, no EERD, and not all
    registers of the younger ones; another PHY."""

    device_id = 0x100C
    subsystem_id = 0x1112
    phy_identifier = 0x0C30
    eeprom_arbiter = False
    absent = frozenset(
        register.offset for register in (E1000.EERD, E1000.ITR, E1000.LEDCTL, E1000.RADV, E1000.TADV, E1000.MANC)
    )


class E1000Server(E1000):
    """82545EM (8086:100f), as on the PRO/1000 MT Server Adapter."""

    device_id = 0x100F
    revision = 0x01
    subsystem_id = 0x1001


class E1000Gm(E1000):
    """82545GM (8086:1026), a later PRO/1000 MT Server Adapter: CTRL has a second address, which the manual lacks
    (`E1000_CTRL_DUP` of the driver in C)."""

    device_id = 0x1026
    revision = 0x04
    subsystem_id = 0x1003
    phy_identifier = 0x0C24

    CTRL_DUP = Register(0x0004)

    @CTRL_DUP.on_read
    def read_control(self, value: Word) -> int:
        """Return CTRL."""
        return int(self.CTRL)

    @CTRL_DUP.on_write
    def write_control(self, old: Word, new: Word) -> None:
        """Write CTRL."""
        self.CTRL_DUP = 0
        self.bar_write(0, E1000.CTRL.offset, 4, new)


class E1000Gb(E1000Gm):
    """The first port of an 82546GB (8086:1079), as on the PRO/1000 MT Dual Port Server Adapter."""

    device_id = 0x1079
    revision = 0x03
    subsystem_id = 0x1179


class E1000GbSecond(E1000Gb):
    """The second port of an 82546GB: its address is that of the EEPROM with the last bit inverted (5.6.1)."""

    port = 1

    def __init__(self, mac: str = FIRST_MAC, *, cable: Cable | None = None, errata: Errata | None = None) -> None:
        super().__init__(mac, cable=cable, errata=errata)
        # Initialization Control 3 of this port.
        self.eeprom.words[0x14] = 0x0000
        self.eeprom.words[:] = with_checksum(self.eeprom.words)
