# SPDX-License-Identifier: MIT
"""Models of the tests: one with one of everything, one whose methods raise or do not return."""

from __future__ import annotations

import threading

from r4l.pci import (
    RC,
    RO,
    Bar,
    Device,
    Express,
    Memory,
    Msi,
    Msix,
    Partial,
    PowerManagement,
    Register,
    RegisterArray,
    Word,
)


class Model(Device):
    """One of everything."""

    vendor_id = 0x1234
    device_id = 0x5678
    bars = (Bar(0x1000), Bar(0x20, io=True))
    capabilities = (PowerManagement(keeps=False), Msi(vectors=4), Express(), Msix(vectors=2, table=0x800))

    ID = Register(0x00, access=RO, reset=0xCAFE0001)
    CONTROL = Register(0x04, fields={"go": 0, "irq": 1, "speed": (7, 4)})
    CAUSE = Register(0x08, access=RC)
    WIDE = Register(0x10, 64)
    EXACT = Register(0x18, partial=Partial.REFUSE)
    KEPT = Register(0x1C, sticky=True)
    TABLE = RegisterArray(0x40, count=4, stride=8)
    RAM = Memory(0x200, 64)
    PORT = Register(0x00, 8, bar=1)

    seen: tuple[int, int] | None = None

    @CONTROL.on_write
    def control(self, old: Word, new: Word) -> None:
        if new.irq:
            self.raise_irq(new.speed)
        elif old.irq:
            self.lower_irq()

    @TABLE.on_write
    def table(self, index: int, old: Word, new: Word) -> None:
        self.seen = (index, int(new))

    @PORT.on_read
    def port(self, value: Word) -> int:
        return 0x5A


class Broken(Model):
    patience: float | None = 0.3

    def __init__(self) -> None:
        self.released = threading.Event()

    def control(self, old: Word, new: Word) -> None:
        if new.speed == 1:
            raise KeyError("no such speed")
        if new.speed == 2:
            raise SystemExit("enough")
        if new.speed == 3:
            self.released.wait(20)

    def port(self, value: Word) -> int:
        if self.CONTROL.speed == 4:
            self.released.wait(20)
        return "five"  # type: ignore[return-value]
