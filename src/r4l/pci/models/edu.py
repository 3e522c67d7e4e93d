# SPDX-License-Identifier: MIT
"""`edu`, QEMU's device for teaching: registers that answer, a factorial, an interrupt, DMA.

Source: QEMU's docs/specs/edu.rst, and where that is silent the behaviour of QEMU 11.1.
"""

from __future__ import annotations

import math

from r4l.pci.access import Reset
from r4l.pci.capabilities import Msi
from r4l.pci.device import Device
from r4l.pci.fields import RO, RW, WO, Field
from r4l.pci.layout import Bar
from r4l.pci.registers import Partial, Register, Word

BUFFER = 0x40000
BUFFER_SIZE = 4096
DMA_SECONDS = 0.1
"""Seconds that a transfer takes."""
IDENTITY = {"major": (31, 24), "minor": (23, 16), "kind": (15, 0)}
IRQ_FACTORIAL, IRQ_DMA = 0x001, 0x100
"""Reasons for an interrupt."""
DMA_MASK = (1 << 28) - 1
"""Addresses that the device can reach; higher bits are lost."""
REFUSE, WHOLE = Partial.REFUSE, Partial.WHOLE
ZERO_FROM = 34
"""First number whose factorial is a multiple of 2 to the 32nd and so reads as 0 in the register."""


class Edu(Device):
    """The device 1234:11e8."""

    vendor_id = 0x1234
    device_id = 0x11E8
    revision = 0x10
    class_code = 0x00FF00
    subsystem_vendor_id = 0x1AF4
    subsystem_id = 0x1100
    bars = (Bar(1 << 20, unmapped=0xFF, sizes=(4, 8)),)
    capabilities = (Msi(),)

    ID = Register(0x00, reset=0x010000ED, access=RO, fields=IDENTITY, partial=REFUSE)
    LIVENESS = Register(0x04, partial=REFUSE)
    FACTORIAL = Register(0x08, partial=REFUSE)
    STATUS = Register(0x20, access=RO, fields={"computing": 0, "irq": Field(7, access=RW)}, partial=REFUSE)
    IRQ_STATUS = Register(0x24, access=RO, fields={"factorial": 0, "dma": 8}, partial=REFUSE)
    IRQ_RAISE = Register(0x60, access=WO, partial=REFUSE)
    IRQ_ACK = Register(0x64, access=WO, partial=REFUSE)
    DMA_SOURCE = Register(0x80, 64, partial=WHOLE)
    DMA_TARGET = Register(0x88, 64, partial=WHOLE)
    DMA_COUNT = Register(0x90, 64, partial=WHOLE)
    DMA_COMMAND = Register(0x98, 64, fields={"run": 0, "to_memory": 1, "irq": 2}, partial=WHOLE)

    buffer: bytearray

    def on_reset(self, reason: Reset) -> None:
        """Clear the buffer for DMA."""
        self.buffer = bytearray(BUFFER_SIZE)

    @LIVENESS.on_write
    def invert(self, old: Word, new: Word) -> None:
        """Store the inverted bits of the written value."""
        self.LIVENESS = ~new

    @FACTORIAL.on_write
    def compute(self, old: Word, new: Word) -> None:
        """Start the factorial of a number unless another is in work."""
        if self.STATUS.computing:
            self.FACTORIAL = old
            return
        self.STATUS = self.STATUS.replace(computing=1)
        self.after(0, self.computed)

    def computed(self) -> None:
        """Store the factorial."""
        number = self.FACTORIAL
        self.FACTORIAL = 0 if number >= ZERO_FROM else math.factorial(number)
        self.STATUS = self.STATUS.replace(computing=0)
        if self.STATUS.irq:
            self.interrupt(IRQ_FACTORIAL)

    @IRQ_RAISE.on_write
    def raise_by_hand(self, old: Word, new: Word) -> None:
        """Set reasons of the interrupt that software asks for."""
        self.interrupt(new)

    def interrupt(self, reasons: int) -> None:
        """Add reasons, and interrupt if there are any."""
        self.IRQ_STATUS |= reasons
        if self.IRQ_STATUS:
            self.raise_irq()

    @IRQ_ACK.on_write
    def acknowledge(self, old: Word, new: Word) -> None:
        """Clear reasons that software has handled."""
        self.IRQ_STATUS &= ~new
        if not self.IRQ_STATUS:
            self.lower_irq()

    @DMA_SOURCE.on_write
    def keep_source(self, old: Word, new: Word) -> None:
        """Reject a write to a register of DMA while a transfer runs."""
        if self.DMA_COMMAND.run:
            self.DMA_SOURCE = old

    @DMA_TARGET.on_write
    def keep_target(self, old: Word, new: Word) -> None:
        """Reject a write to a register of DMA while a transfer runs."""
        if self.DMA_COMMAND.run:
            self.DMA_TARGET = old

    @DMA_COUNT.on_write
    def keep_count(self, old: Word, new: Word) -> None:
        """Reject a write to a register of DMA while a transfer runs."""
        if self.DMA_COMMAND.run:
            self.DMA_COUNT = old

    @DMA_COMMAND.on_write
    def start(self, old: Word, new: Word) -> None:
        """Begin a transfer if the bit `run` is written; without it, or while one runs, a write does nothing."""
        if old.run or not new.run:
            self.DMA_COMMAND = old
        else:
            self.after(DMA_SECONDS, self.transfer)

    def transfer(self) -> None:
        """Do the transfer, at its end."""
        command, count = self.DMA_COMMAND, int(self.DMA_COUNT)
        inside = (self.DMA_SOURCE if command.to_memory else self.DMA_TARGET) - BUFFER
        outside = int(self.DMA_TARGET if command.to_memory else self.DMA_SOURCE) & DMA_MASK
        self.DMA_COMMAND = command.replace(run=0)
        if not 0 <= inside <= inside + count <= BUFFER_SIZE:
            self.note(f"a transfer of {count} bytes at {inside + BUFFER:#x}, outside of the buffer")
        elif command.to_memory:
            self.dma.write(outside, bytes(self.buffer[inside : inside + count]))
        else:
            self.buffer[inside : inside + count] = self.dma.read(outside, count)
        if command.irq:
            self.interrupt(IRQ_DMA)
