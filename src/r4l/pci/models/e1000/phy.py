# SPDX-License-Identifier: MIT
"""The PHY's registers, behind MDIC.

Source: Intel 8254x Software Developer's Manual (317453), 11 (behaviour), 13.4.7 (MDIC); IEEE 802.3, 22.2.4 and 28.2.4
(registers 0 to 10, 15); Marvell's numbers of the registers 16 and up, as in 13.4.7.1 of the manual.
"""

from __future__ import annotations

from collections.abc import Callable

CONTROL, STATUS, ID1, ID2, ADVERTISED, PARTNER, EXPANSION, NEXT_PAGE, PARTNER_NEXT = range(9)
GIGABIT_CONTROL, GIGABIT_STATUS, EXTENDED_STATUS = 9, 10, 15
SPECIFIC_CONTROL, SPECIFIC_STATUS, INTERRUPT_ENABLE, INTERRUPT_STATUS = 16, 17, 18, 19
EXTENDED_CONTROL, ERRORS, LED_CONTROL, PAGE = 20, 21, 24, 29

RESET, LOOPBACK, SPEED_LOW, NEGOTIATES, POWER_DOWN, ISOLATE, RESTART, FULL_DUPLEX, SPEED_HIGH = (
    1 << bit for bit in (15, 14, 13, 12, 11, 10, 9, 8, 6)
)
"""Bits of Control (IEEE 802.3, 22.2.4.1)."""
NEGOTIATED, LINK = 0x20, 0x04
"""Bits of Status (22.2.4.2)."""
CHOSEN = SPEED_LOW | SPEED_HIGH | FULL_DUPLEX | NEGOTIATES
"""Bits of Control that take effect with a reset, with a negotiation, with power, or when the link is lost (11.1.3)."""
SPEEDS = {0: 10, SPEED_LOW: 100, SPEED_HIGH: 1000}
SPECIFIC_SPEED_SHIFT, SPECIFIC_DUPLEX, RESOLVED, LINK_NOW = 14, 1 << 13, 1 << 11, 1 << 10
"""Bits of PHY Specific Status."""

RESETS = {
    CONTROL: SPEED_HIGH | FULL_DUPLEX | NEGOTIATES,
    STATUS: 0x7949,
    ID1: 0x0141,
    ADVERTISED: 0x0DE1,
    EXPANSION: 0x0004,
    NEXT_PAGE: 0x2001,
    GIGABIT_CONTROL: 0x0E00,
    EXTENDED_STATUS: 0x3000,
    SPECIFIC_CONTROL: 0x0360,
    EXTENDED_CONTROL: 0x0D60,
    LED_CONTROL: 0x4100,
}
"""Values after a reset; others are 0."""
WRITABLE = {
    CONTROL: 0xFFC0,
    ADVERTISED: 0xFFFF,
    NEXT_PAGE: 0xAFFF,
    GIGABIT_CONTROL: 0xFF00,
    SPECIFIC_CONTROL: 0xFFFF,
    INTERRUPT_ENABLE: 0xFFFF,
    EXTENDED_CONTROL: 0xFFFF,
    LED_CONTROL: 0xFFFF,
    PAGE: 0xFFFF,
    30: 0xFFFF,
}
"""Bits that software can write."""
PARTNER_ABILITY = {PARTNER: 0x41E1, GIGABIT_STATUS: 0x3C00}
"""Registers about the other end of the cable, which offers all speeds, both duplex modes, no flow control."""


class Phy:
    """The PHY: registers, power, link.

    Args:
        identifier: value of PHY Identifier 2 (13.4.7.1.4).
        negotiate: called when a negotiation begins; `negotiated` ends it.
        changed: called when the link comes or goes.

    Attributes:
        cable: True if the cable is connected at both ends.
        link: True if there is a link.
    """

    def __init__(self, identifier: int, negotiate: Callable[[], None], changed: Callable[[], None]) -> None:
        self._identifier, self._negotiate, self._changed = identifier, negotiate, changed
        self.cable = True
        self.link = self.negotiating = False
        self.registers: list[int] = []
        self._works_by = 0
        self.power_on()

    def power_on(self) -> None:
        """Set all registers to their values after a hardware reset."""
        self.registers = [RESETS.get(number, 0) for number in range(32)]
        self.registers[ID2] = self._identifier
        self._works_by = self.registers[CONTROL] & CHOSEN
        self.link = False

    @property
    def loops(self) -> bool:
        """True if what is sent comes back (loopback)."""
        return bool(self.registers[CONTROL] & LOOPBACK)

    @property
    def powered(self) -> bool:
        """True unless software has taken the PHY's power away."""
        return not self.registers[CONTROL] & POWER_DOWN

    @property
    def speed(self) -> int:
        """Speed of the link in Mbit/s: 1000 if it was negotiated, else the forced one."""
        return 1000 if self.negotiates else SPEEDS.get(self._works_by & (SPEED_LOW | SPEED_HIGH), 1000)

    @property
    def negotiates(self) -> bool:
        """True if speed and duplex mode are negotiated, False if they are forced."""
        return bool(self._works_by & NEGOTIATES)

    @property
    def full_duplex(self) -> bool:
        """True if both ends may send at once."""
        return bool(self._works_by & (NEGOTIATES | FULL_DUPLEX))

    def read(self, number: int) -> int:
        """Return a register's value, as MDIC reads it."""
        value = self.registers[number]
        if number == STATUS:
            # The bit tells that the link was lost since the last read (latching low, 22.2.4.2.13).
            self.registers[STATUS] = value | (LINK if self.link else 0)
        elif number in (INTERRUPT_STATUS, ERRORS):
            self.registers[number] = 0
        return value

    def write(self, number: int, value: int) -> None:
        """Change a register, as MDIC writes it."""
        mask = WRITABLE.get(number, 0)
        before = self.registers[number]
        self.registers[number] = before & ~mask | value & mask
        if number == CONTROL:
            self._control(before, value)

    def _control(self, before: int, value: int) -> None:
        # A soft reset keeps what was chosen, and makes it take effect (11.1.3).
        self.registers[CONTROL] &= ~(RESET | RESTART)
        if not self.powered:
            self._lose()
        elif value & (RESET | RESTART) or before & POWER_DOWN:
            self.begin()

    def begin(self) -> None:
        """Look for a link: negotiate, or without negotiation take the cable as it is."""
        self._lose()
        self._works_by = self.registers[CONTROL] & CHOSEN
        if not self.cable or not self.powered:
            return
        if self.negotiates:
            self.negotiating = True
            self._negotiate()
        else:
            self._gain()

    def negotiated(self) -> None:
        """End a negotiation."""
        if self.negotiating and self.cable and self.powered:
            self._gain()

    def set_cable(self, connected: bool) -> None:
        """Connect the cable, or pull it out."""
        if connected != self.cable:
            self.cable = connected
            self.begin()

    def _gain(self) -> None:
        registers = self.registers
        self.negotiating = False
        self.link = True
        speed = {10: 0, 100: 1, 1000: 2}[self.speed] << SPECIFIC_SPEED_SHIFT
        registers[SPECIFIC_STATUS] = speed | (SPECIFIC_DUPLEX if self.full_duplex else 0) | RESOLVED | LINK_NOW
        registers[STATUS] |= LINK
        if self.negotiates:
            registers[STATUS] |= NEGOTIATED
            registers[EXPANSION] |= 0x0003
            registers[PARTNER] = PARTNER_ABILITY[PARTNER]
            registers[GIGABIT_STATUS] = PARTNER_ABILITY[GIGABIT_STATUS]
        self._changed()

    def _lose(self) -> None:
        registers = self.registers
        self.negotiating = False
        registers[STATUS] &= ~(LINK | NEGOTIATED)
        registers[SPECIFIC_STATUS] &= ~(RESOLVED | LINK_NOW)
        registers[PARTNER] = registers[GIGABIT_STATUS] = 0
        if self.link:
            self.link = False
            self._changed()
