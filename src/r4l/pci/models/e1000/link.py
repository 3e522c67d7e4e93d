# SPDX-License-Identifier: MIT
"""Control and status of the card, and the link: CTRL, STATUS, CTRL_EXT, MDIC.

Source: Intel 8254x Software Developer's Manual (317453), 13.4.1, 13.4.2, 13.4.6, 13.4.7; 14.7 (reset).
"""

from __future__ import annotations

from r4l.pci.access import Reset
from r4l.pci.fields import RO, RW, Field
from r4l.pci.models.e1000.interrupts import LSC, MDAC, InterruptUnit
from r4l.pci.models.e1000.phy import Phy
from r4l.pci.registers import Register, Word

PHY_ADDRESS = 1
"""Address of the internal PHY on its bus (13.4.7)."""
MDI_WRITE, MDI_READ = 0b01, 0b10
SPEED_CODES = {10: 0b00, 100: 0b01, 1000: 0b10}
"""STATUS.SPEED."""


class LinkUnit(InterruptUnit):
    """The registers about the whole card, and the way to its PHY.

    Attributes:
        phy: the PHY.
        negotiation_seconds: time that a negotiation takes.
    """

    CTRL = Register(
        0x0000,
        reset=0x0201,
        fields={
            "FD": 0, "LRST": 3, "ASDE": 5, "SLU": 6, "ILOS": 7, "SPEED": (9, 8), "FRCSPD": 11, "FRCDPLX": 12,
            "SWDPINS": (21, 18), "SWDPIO": (25, 22), "RST": 26, "RFCE": 27, "TFCE": 28, "VME": 30, "PHY_RST": 31,
        },
    )  # fmt: skip
    STATUS = Register(
        0x0008,
        access=RO,
        fields={
            "FD": 0, "LU": 1, "FUNC": (3, 2), "TXOFF": 4, "TBIMODE": 5, "SPEED": (7, 6), "ASDV": (9, 8), "PCI66": 11,
            "BUS64": 12, "PCIX": 13,
        },
    )  # fmt: skip
    CTRL_EXT = Register(0x0018, fields={"ASDCHK": 12, "EE_RST": 13, "SPD_BYPS": 15, "LINK_MODE": (23, 22)})
    MDIC = Register(
        0x0020,
        access=RO,
        fields={
            "DATA": Field(15, 0, RW),
            "REGADD": Field(20, 16, RW),
            "PHYADD": Field(25, 21, RW),
            "OP": Field(27, 26, RW),
            "R": Field(28, 28, RW),
            "I": Field(29, 29, RW),
            "E": Field(30, 30, RW),
        },
    )

    phy: Phy
    negotiation_seconds = 0.02
    _up = False

    @property
    def link_up(self) -> bool:
        """True if the MAC has a link (STATUS.LU): the PHY has one, and software lets the MAC see it (CTRL.SLU)."""
        return self._up

    def set_cable(self, connected: bool) -> None:
        """Connect the cable, or pull it out."""
        with self.held:
            self.phy.set_cable(connected)

    def flap(self) -> None:
        """Pull the cable out and connect it again."""
        self.set_cable(False)
        self.set_cable(True)

    def begin_negotiation(self) -> None:
        """Let the PHY have its link after the time that a negotiation takes."""
        self.after(self.negotiation_seconds, self.phy.negotiated)

    def update_status(self) -> None:
        """Make STATUS tell the link; a change is a cause for an interrupt."""
        before, control, phy = self.STATUS, self.CTRL, self.phy
        up = bool(phy.link and control.SLU)
        speed = control.SPEED if control.FRCSPD else SPEED_CODES[phy.speed] if phy.link else before.SPEED
        duplex = control.FD if control.FRCDPLX else int(phy.full_duplex)
        self.STATUS = before.replace(LU=up, FD=duplex, SPEED=min(speed, 2), ASDV=min(speed, 2))
        self._up = up
        if bool(before.LU) != up:
            self.cause(LSC)
            self.on_link(up)

    def on_link(self, up: bool) -> None:
        """React to a change of the link; called after STATUS has changed."""

    def reset_link(self, reason: Reset) -> None:
        """Bring PHY and link to their state after a reset."""
        self._up = False
        if reason is Reset.ITSELF:
            # The timers were cancelled, and the PHY goes on.
            if self.phy.negotiating:
                self.begin_negotiation()
        else:
            self.phy.power_on()
            self.phy.begin()
        self.STATUS = self.STATUS.replace(SPEED=2, ASDV=2, FD=1)

    @CTRL.on_write
    def control(self, old: Word, new: Word) -> None:
        """Reset the card or its PHY, or change how the MAC sees the link."""
        if new.RST:
            self.reset(Reset.ITSELF)
            return
        if old.PHY_RST and not new.PHY_RST:
            self.phy.power_on()
            self.phy.begin()
        self.update_status()

    @CTRL_EXT.on_write
    def control_more(self, old: Word, new: Word) -> None:
        """Read the EEPROM again; the bits that ask for it clear themselves (13.4.6)."""
        self.CTRL_EXT = new.replace(EE_RST=0, ASDCHK=0)
        if new.EE_RST:
            self.load_eeprom()

    def load_eeprom(self) -> None:
        """Take over what the EEPROM says, as after a reset."""

    @MDIC.on_write
    def transfer(self, old: Word, new: Word) -> None:
        """Carry out an operation on the PHY's bus; R says that it is done."""
        done = new.replace(R=1, E=0)
        if new.PHYADD != PHY_ADDRESS or new.OP not in (MDI_READ, MDI_WRITE):
            done = done.replace(E=1)
        elif new.OP == MDI_READ:
            done = done.replace(DATA=self.phy.read(new.REGADD))
        else:
            self.phy.write(new.REGADD, new.DATA)
        self.MDIC = done
        if new.I:
            self.cause(MDAC)
