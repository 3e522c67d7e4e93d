# SPDX-License-Identifier: MIT
"""The digest engine, 1b36:d16e: SHA-256 of the guest's memory. This file is the device, and its data sheet."""

import hashlib

from r4l import pci

LONGEST = 4096
"""Bytes of the longest message."""
SECONDS = 0.002
"""Duration of a computation."""


class Digest(pci.Device):
    """1b36:d16e: the digest engine."""

    vendor_id = 0x1B36
    device_id = 0xD16E
    class_code = 0x108000
    bars = (pci.Bar(4096),)
    actions = {"computing-error": "fail_next", "slow": "slow_down"}  # noqa: RUF012 (as short as a data sheet)
    seconds = SECONDS

    # Kind and version: d16e0001.
    ID = pci.Register(0x00, access=pci.RO, reset=0xD16E0001, fields={"kind": (31, 16), "version": (15, 0)})
    # start: begin to compute; reads as 0. reset: stop at once, and forget all; reads as 0. interrupt: let STATUS.done
    # and STATUS.error interrupt.
    CONTROL = pci.Register(0x04, fields={"start": 0, "interrupt": 1, "reset": 31})
    # busy: a computation is under way. done: it has ended, and the digest is in memory. error: it has ended without a
    # digest. Both are cleared by writing ones, and INTA# is high while one of them is set and CONTROL.interrupt, too.
    STATUS = pci.Register(
        0x08, access=pci.RO, fields={"busy": 0, "done": pci.Field(1, 1, pci.W1C), "error": pci.Field(2, 2, pci.W1C)}
    )
    # Bytes of the message, 0 to 4096.
    LENGTH = pci.Register(0x0C)
    # Addresses in memory, of 32 bits: of the message, and of 32 bytes for its digest.
    SOURCE = pci.Register(0x10)
    TARGET = pci.Register(0x14)

    def __init__(self) -> None:
        self.failing = False

    @CONTROL.on_write
    def control(self, old: pci.Word, new: pci.Word) -> None:
        self.CONTROL = new.replace(start=0, reset=0)
        if new.reset:
            self.reset()
        elif new.start and not self.STATUS.busy:
            self.STATUS = self.STATUS.replace(busy=1)
            self.after(self.seconds, self.finish)
        self.drive()

    @STATUS.on_write
    def acknowledge(self, old: pci.Word, new: pci.Word) -> None:
        self.drive()

    def finish(self) -> None:
        failed = self.failing or self.LENGTH > LONGEST
        self.failing = False
        try:
            if not failed:
                message = self.dma.read(self.SOURCE, self.LENGTH) if self.LENGTH else b""
                self.dma.write(self.TARGET, hashlib.sha256(message).digest())
        except pci.DmaFault as fault:
            self.note(str(fault))
            failed = True
        self.STATUS = self.STATUS.replace(busy=0, done=int(not failed), error=int(failed))
        self.drive()

    def drive(self) -> None:
        """Give INTA# its level."""
        if self.CONTROL.interrupt and (self.STATUS.done or self.STATUS.error):
            self.raise_irq()
        else:
            self.lower_irq()

    # -- faults of its own ----------------------------------------------------------------------------------------

    def fail_next(self) -> None:
        """Let the next computation end with an error."""
        self.failing = True

    def slow_down(self) -> None:
        """Take half a minute for each computation from now on."""
        self.seconds = 30.0
