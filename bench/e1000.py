# SPDX-License-Identifier: MIT
"""Processor time that the e1000 in Python takes for a packet of 60 bytes, each way: `python bench/e1000.py`.

No guest and no cable take part: registers, descriptors, buffers, statistics and the trace are those of a driver's use.
Processor time is counted, so that other work on the machine changes little; the best of several rounds is printed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable

from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.descriptors import EOP, IFCS, RS

MEMORY = 16 << 20
RX_RING, TX_RING, RX_BUFFERS, TX_BUFFER = 0x200000, 0x210000, 0x300000, 0x400000
COUNT, BUFFER = 256, 2048
PACKETS = 4096
ROUNDS = 5
FRAME = bytes.fromhex("52540012345652560000000188b5") + bytes(46)


class Card(E1000):
    """The card without a cable."""

    def make_cable(self) -> None:
        """No cable."""

    def send_frame(self, frame: bytes) -> None:
        """Drop the frame."""


def ready() -> tuple[Card, mmap.mmap]:
    """Return a card with rings that sends and receives, and its memory."""
    card = Card()
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, MEMORY)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    memory = mmap.mmap(fd, MEMORY)
    card.plugged()
    card.dma.map(0, MEMORY, 3, 0, [fd])
    os.close(fd)
    card.config_write(4, b"\x06\x00")
    write(card, E1000.CTRL.offset, E1000.CTRL.value(SLU=1))
    while not card.link_up:
        time.sleep(0.01)
    for index in range(COUNT):
        struct.pack_into("<QQ", memory, RX_RING + 16 * index, RX_BUFFERS + BUFFER * index, 0)
        second = len(FRAME) | 1 << 20 | 1 << 29 | (EOP | IFCS | RS) << 24
        struct.pack_into("<QQ", memory, TX_RING + 16 * index, TX_BUFFER, second)
    memory[TX_BUFFER : TX_BUFFER + len(FRAME)] = FRAME
    for base, ring in ((0x2800, RX_RING), (0x3800, TX_RING)):
        for offset, value in ((0, ring), (8, 16 * COUNT), (16, 0), (24, 0)):
            write(card, base + offset, value)
    write(card, E1000.TCTL.offset, E1000.TCTL.value(EN=1, PSP=1))
    write(card, E1000.RCTL.offset, E1000.RCTL.value(EN=1, BAM=1, SECRC=1))
    return card, memory


def write(card: Card, offset: int, value: int) -> None:
    """Write a register."""
    card.bar_write(0, offset, 4, value)


def sending(card: Card, burst: int) -> None:
    """Send packets, with a write of the tail for each burst."""
    tail = int(card.TDT)
    for _ in range(PACKETS // burst):
        tail = (tail + burst) % COUNT
        write(card, E1000.TDT.offset, tail)


def receiving(card: Card, burst: int) -> None:
    """Receive packets, with a write of the tail for each burst of buffers."""
    tail = int(card.RDT)
    for _ in range(PACKETS // burst):
        tail = (tail + burst) % COUNT
        write(card, E1000.RDT.offset, tail)
        for _ in range(burst):
            card.call(card.receive, FRAME)


def clocking(card: Card) -> None:
    """Clock the EEPROM, as a driver does that reads it bit by bit."""
    for index in range(PACKETS):
        write(card, E1000.EECD.offset, 0x42 | index & 1)


def microseconds(work: Callable[[], object], times: int) -> float:
    """Return the processor time of one of several pieces of work."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best / times * 1e6


def main() -> None:
    """Print the figures."""
    card, _ = ready()
    for name, work in (("sent", sending), ("received", receiving)):
        for burst in (1, 32):
            figure = microseconds(lambda work=work, burst=burst: work(card, burst), PACKETS)  # type: ignore[misc]
            print(f"packet {name}, {burst} at once: {figure:5.1f} µs, {1e6 / figure:7.0f} a second of a processor")
    reads = microseconds(lambda: [card.bar_read(0, E1000.STATUS.offset, 4) for _ in range(PACKETS)], PACKETS)
    pins = microseconds(lambda: clocking(card), PACKETS)
    print(f"read of STATUS: {reads:.1f} µs; write of EECD: {pins:.1f} µs")


if __name__ == "__main__":
    main()
