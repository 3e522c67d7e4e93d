# SPDX-License-Identifier: MIT
"""The card on a test stand: registers and memory as a driver uses them, frames in a list, time in steps."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence

from r4l.pci import Register, SteppedTime
from r4l.pci.arrays import RegisterElement
from r4l.pci.models.e1000 import E1000
from r4l.pci.trace import interrupt

SIZE = 1 << 20
RX_RING, TX_RING, RX_BUFFERS, TX_BUFFERS = 0x1000, 0x2000, 0x10000, 0x80000
RX_COUNT = TX_COUNT = 8
COMMAND = 4
MEMORY_AND_MASTER = 0x0006
US = bytes.fromhex("525400123456")
PEER = bytes.fromhex("525600000001")


def ethernet(payload: bytes, *, to: bytes = US, kind: int = 0x88B5) -> bytes:
    """A frame; 88B5 is the Ethertype for experiments."""
    return to + PEER + kind.to_bytes(2, "big") + payload


class Card(E1000):
    """The card without a cable: what it sends is in `sent`."""

    clock = SteppedTime

    def __init__(self, **words: object) -> None:
        self.sent: list[bytes] = []
        self.full = False
        super().__init__(**words)  # type: ignore[arg-type]

    def make_cable(self) -> None:
        """No cable."""

    def send_frame(self, frame: bytes) -> None:
        """Keep the frame."""
        self.sent.append(frame)

    @property
    def line_is_full(self) -> bool:
        """As the test says."""
        return self.full


class Stand:
    """A card with memory, and what a driver does with both."""

    def __init__(self, card: Card) -> None:
        self.card = card
        fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, SIZE)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = mmap.mmap(fd, SIZE)
        card.plugged()
        card.dma.map(0, SIZE, 3, 0, [fd])
        os.close(fd)
        card.config_write(COMMAND, MEMORY_AND_MASTER.to_bytes(2, "little"))
        self.tail = 0

    def read(self, what: Register | RegisterElement) -> int:
        """Read a register as the guest."""
        return self.card.bar_read(0, place(what), 4)

    def write(self, what: Register | RegisterElement, value: int) -> None:
        """A write of the guest."""
        self.card.bar_write(0, place(what), 4, value)

    def link_up(self) -> None:
        """Let the MAC see the link, and wait for it."""
        self.write(E1000.CTRL, E1000.CTRL.value(SLU=1, FD=1))
        self.card.advance(1.0)
        self.read(E1000.ICR)

    def receive_ring(self, size: int = 2048, count: int = RX_COUNT, **control: int) -> None:
        """A ring of buffers, all but one the card's, and the receiver on."""
        for index in range(count):
            self.put(RX_RING + 16 * index, (RX_BUFFERS + index * size).to_bytes(8, "little") + bytes(8))
        self.write(E1000.RDBAL, RX_RING)
        self.write(E1000.RDLEN, 16 * count)
        self.write(E1000.RDH, 0)
        self.write(E1000.RDT, count - 1)
        self.write(E1000.RCTL, E1000.RCTL.value(**{"EN": 1, "BAM": 1, "SECRC": 1, **control}))

    def transmit_ring(self) -> None:
        """An empty ring, and the transmitter on."""
        self.write(E1000.TDBAL, TX_RING)
        self.write(E1000.TDLEN, 16 * TX_COUNT)
        self.write(E1000.TDH, 0)
        self.write(E1000.TDT, 0)
        self.write(E1000.TCTL, E1000.TCTL.value(EN=1, PSP=1))

    def put(self, address: int, data: bytes) -> None:
        """Change memory."""
        self.memory[address : address + len(data)] = data

    def push(self, *descriptors: tuple[int, int], ring: bool = True) -> None:
        """Add descriptors to the transmit ring, and tell the card."""
        for first, second in descriptors:
            self.put(TX_RING + 16 * self.tail, first.to_bytes(8, "little") + second.to_bytes(8, "little"))
            self.tail = (self.tail + 1) % TX_COUNT
        if ring:
            self.write(E1000.TDT, self.tail)

    def transmitted(self, index: int) -> bool:
        """Return True if a transmit descriptor was reported as done."""
        return bool(self.memory[TX_RING + 16 * index + 12] & 1)

    def received(self, index: int, size: int = 2048) -> tuple[bytes, int, int, int, int]:
        """Return the content of a receive descriptor and its buffer: data, status, errors, checksum, special."""
        at = RX_RING + 16 * index
        length, checksum = (int.from_bytes(self.memory[at + n : at + n + 2], "little") for n in (8, 10))
        special = int.from_bytes(self.memory[at + 14 : at + 16], "little")
        buffer = RX_BUFFERS + index * size
        return self.memory[buffer : buffer + length], self.memory[at + 12], self.memory[at + 13], checksum, special

    def interrupts(self) -> int:
        """Return the number of times that INTA# has gone high."""
        return self.card.trace.count(interrupt())


def place(what: Register | RegisterElement) -> int:
    """The offset of a register."""
    if isinstance(what, RegisterElement):
        return what.register.offset + what.index * what.register.stride
    return what.offset


def data(address: int, length: int, command: int, options: int = 0, special: int = 0) -> tuple[int, int]:
    """A data descriptor (3.3.7)."""
    return address, length | 1 << 20 | 1 << 29 | command << 24 | options << 40 | special << 48


def legacy(address: int, length: int, command: int, *, cso: int = 0, css: int = 0) -> tuple[int, int]:
    """A legacy descriptor (3.3.3)."""
    return address, length | cso << 16 | command << 24 | css << 40


def context(
    ip: Sequence[int], transport: Sequence[int], command: int = 0, *, payload: int = 0, header: int = 0, mss: int = 0
) -> tuple[int, int]:
    """A context descriptor (3.3.6): start, offset and end of both checksums."""
    first = ip[0] | ip[1] << 8 | ip[2] << 16 | transport[0] << 32 | transport[1] << 40 | transport[2] << 48
    return first, payload | 1 << 29 | command << 24 | header << 40 | mss << 48
