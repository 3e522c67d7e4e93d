# SPDX-License-Identifier: MIT
"""Interrupts: causes, mask, throttling, delays.

Source: Intel 8254x Software Developer's Manual (317453), 13.4.17 to 13.4.21; 13.4.30 and 13.4.41 (delays).
"""

from __future__ import annotations

from collections.abc import Callable

from r4l.pci.device import Device
from r4l.pci.fields import RC, RO, RW, W1C, W1S, WO, Field
from r4l.pci.models.e1000.chip import Chip
from r4l.pci.registers import Register, Word
from r4l.pci.timers import Timer

TXDW, TXQE, LSC, RXDMT0, RXO, RXT0, MDAC, TXD_LOW = (1 << bit for bit in (0, 1, 2, 4, 6, 7, 9, 15))
"""Causes that this model has (13.4.17)."""
CAUSES: dict[str, int | tuple[int, int]] = {
    "TXDW": 0,
    "TXQE": 1,
    "LSC": 2,
    "RXSEQ": 3,
    "RXDMT0": 4,
    "RXO": 6,
    "RXT0": 7,
}
CAUSES |= {"RXT0": 7, "MDAC": 9, "RXCFG": 10, "GPI": (14, 11), "TXD_LOW": 15, "SRPD": 16}
KNOWN = 0x1FFFF
"""Bits of the causes that exist."""
ITR_SECONDS = 256e-9
"""Unit of ITR (13.4.18)."""
DELAY_SECONDS = 1.024e-6
"""Unit of RDTR, RADV, TIDV and TADV (13.4.30, 13.4.31, 13.4.41, 13.4.44)."""


class InterruptUnit(Chip):
    """The part of the card that collects causes and drives INTA#."""

    ICR = Register(0x00C0, access=RC | W1C, fields=CAUSES)
    ITR = Register(0x00C4, access=RO, fields={"INTERVAL": Field(15, 0, RW)})
    ICS = Register(0x00C8, access=WO, fields=CAUSES)
    IMS = Register(0x00D0, access=RO, fields={"CAUSES": Field(16, 0, W1S)})
    IMC = Register(0x00D8, access=WO, fields=CAUSES)

    _quiet_until = 0.0
    _retry: Timer | None = None

    def cause(self, bits: int) -> None:
        """Set causes, and interrupt if one of them is not masked."""
        self._values[self.layout.slots["ICR"]] |= bits
        self._drive()

    def _drive(self) -> None:
        """Give INTA# the level that follows from causes, mask and throttling."""
        if not self.raw("ICR") & self.raw("IMS"):
            if self.interrupts.wanted:
                self.lower_irq()
        elif not self.interrupts.level and not self._throttled():
            self.raise_irq()

    def _throttled(self) -> bool:
        """Return True if ITR forbids an interrupt now; one is then due later."""
        interval = self.raw("ITR") * ITR_SECONDS
        if not interval:
            return False
        now = self.now
        if now >= self._quiet_until:
            self._quiet_until = now + interval
            return False
        if self._retry is None:
            self._retry = self.after(self._quiet_until - now, self._interval_is_over)
        return True

    def _interval_is_over(self) -> None:
        self._retry = None
        self._drive()

    def reset_interrupts(self) -> None:
        """Forget the throttling; the timers were cancelled."""
        self._quiet_until, self._retry = 0.0, None

    @ICR.on_read
    def take_causes(self, value: Word) -> int:
        """Return the causes, which this read clears and acknowledges."""
        self.lower_irq()
        return value

    @ICR.on_write
    def acknowledge(self, old: Word, new: Word) -> None:
        """Clear the causes that were written as ones."""
        self._drive()

    @ICS.on_write
    def set_causes(self, old: Word, new: Word) -> None:
        """Set causes by hand."""
        self.ICS = 0
        self.cause(new & KNOWN)

    @IMS.on_write
    def unmask(self, old: Word, new: Word) -> None:
        """Let interrupts through."""
        self._drive()

    @IMC.on_write
    def mask(self, old: Word, new: Word) -> None:
        """Mask interrupts."""
        self.IMC = 0
        self._values[self.layout.slots["IMS"]] &= ~new
        self._drive()


class Delay:
    """A delayed interrupt: a timer that each packet restarts, and an absolute one that bounds the wait.

    Args:
        device: the card, whose clock it uses.
        action: called when the delay is over.
    """

    def __init__(self, device: Device, action: Callable[[], None]) -> None:
        self._device, self._action = device, action
        self._timer: Timer | None = None
        self._due = self._limit = 0.0

    def restart(self, packet: int, absolute: int) -> None:
        """Begin, or begin anew, after a packet.

        Args:
            packet: value of RDTR or TIDV.
            absolute: value of RADV or TADV; 0: no bound.
        """
        now = self._device.now
        if self._timer is None:
            self._limit = now + absolute * DELAY_SECONDS if absolute else float("inf")
        self._due = min(now + packet * DELAY_SECONDS, self._limit)
        # A timer that is too early sets itself again: a new one for each packet would cost more.
        if self._timer is None:
            self._timer = self._device.after(self._due - now, self._look)

    def _look(self) -> None:
        left = self._due - self._device.now
        if left > 0:
            self._timer = self._device.after(left, self._look)
        else:
            self._timer = None
            self._action()

    @property
    def waiting(self) -> bool:
        """True if an interrupt is due."""
        return self._timer is not None

    def end(self) -> None:
        """Stop waiting, without an interrupt."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
