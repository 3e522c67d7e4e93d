# SPDX-License-Identifier: MIT
"""The receiver: a frame from the line through filters and FIFO into the guest's buffers.

Source: Intel 8254x Software Developer's Manual (317453), 3.2 and 13.4.22 to 13.4.32, 13.4.47 (RXCSUM).
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass

from r4l.pci.fields import RO, RW, WO, Field
from r4l.pci.models.e1000 import offload
from r4l.pci.models.e1000.control import Control
from r4l.pci.models.e1000.descriptors import (
    PAIR,
    RX_CE,
    RX_DD,
    RX_EOP,
    RX_IPCS,
    RX_IPE,
    RX_IXSM,
    RX_PIF,
    RX_RXE,
    RX_SE,
    RX_TCPCS,
    RX_TCPE,
    RX_VP,
    RX_WRITTEN,
    SIZE,
)
from r4l.pci.models.e1000.filters import Filters
from r4l.pci.models.e1000.interrupts import RXDMT0, RXO, RXT0, Delay
from r4l.pci.models.e1000.link import LinkUnit
from r4l.pci.models.e1000.ring import Ring
from r4l.pci.models.e1000.statistics import CRC, Statistics
from r4l.pci.registers import Register, Word

SMALLEST, LARGEST, LARGEST_LONG = 64, 1518, 16384
"""Bytes of a frame with its checksum; a VLAN tag adds four (13.7.15)."""
KIB = 1024
PAUSE = b"\x88\x08"
"""Ethertype of flow control frames (IEEE 802.3, annex 31B)."""
PCSS, IPOFL, TUOFL = 0xFF, 1 << 8, 1 << 9
"""Fields of RXCSUM (13.8)."""
FETCHED = 64
"""Number of descriptors that are read in one go."""


@dataclass(slots=True)
class Incoming:
    """A frame in the FIFO.

    Attributes:
        data: bytes for the buffers.
        status, errors, checksum, special: for its descriptors.
        done: number of bytes that were stored.
        starved: True once it has found no descriptor.
    """

    data: bytes
    status: int
    errors: int
    checksum: int
    special: int
    done: int = 0
    starved: bool = False


class Receiver(LinkUnit, Filters, Statistics):
    """The receive side of the card."""

    RCTL = Register(
        0x0100,
        fields={
            "EN": 1, "SBP": 2, "UPE": 3, "MPE": 4, "LPE": 5, "LBM": (7, 6), "RDMTS": (9, 8), "MO": (13, 12),
            "BAM": 15, "BSIZE": (17, 16), "VFE": 18, "CFIEN": 19, "CFI": 20, "DPF": 22, "PMCF": 23, "BSEX": 25,
            "SECRC": 26,
        },
    )  # fmt: skip
    PBA = Register(0x1000, reset=0x00100030, access=RO, fields={"RXA": Field(15, 0, RW), "TXA": (31, 16)}, sticky=True)
    RDBAL = Register(0x2800, access=RO, fields={"ADDRESS": Field(31, 4, RW)})
    RDBAH = Register(0x2804)
    RDLEN = Register(0x2808, access=RO, fields={"LEN": Field(19, 7, RW)})
    RDH = Register(0x2810, access=RO, fields={"HEAD": Field(15, 0, RW)})
    RDT = Register(0x2818, access=RO, fields={"TAIL": Field(15, 0, RW)})
    RDTR = Register(0x2820, access=RO, fields={"DELAY": Field(15, 0, RW), "FPD": Field(31, 31, WO)})
    RXDCTL = Register(
        0x2828,
        reset=0x00010000,
        fields={"PTHRESH": (5, 0), "HTHRESH": (13, 8), "WTHRESH": (21, 16), "GRAN": 24},
    )
    RADV = Register(0x282C, access=RO, fields={"DELAY": Field(15, 0, RW)})
    RSRPD = Register(0x2C00, access=RO, fields={"SIZE": Field(11, 0, RW)})
    RXCSUM = Register(
        0x5000, access=RO, fields={"PCSS": Field(7, 0, RW), "IPOFL": Field(8, 8, RW), "TUOFL": Field(9, 9, RW)}
    )

    _fifo: deque[Incoming]
    _fetched: deque[int]
    _fifo_bytes = 0
    _rx: Ring
    _rx_delay: Delay

    def set_up_receiver(self) -> None:
        """Make the receiver's own parts."""
        self._fifo, self._fetched = deque(), deque()
        self._rx = Ring(self, "RD")
        self._rx_delay = Delay(self, lambda: self.cause(RXT0))

    def reset_receiver(self) -> None:
        """Drop what was received."""
        self._fifo.clear()
        self._fetched.clear()
        self._fifo_bytes = 0
        self._rx_delay.end()

    @RCTL.on_write
    def control_receiver(self, old: Word, new: Word) -> None:
        """Begin or stop to receive; at once, as on the card."""
        if not new.EN:
            self._fifo.clear()
            self._fifo_bytes = 0
        else:
            self._store()

    @RDBAL.on_write
    @RDBAH.on_write
    @RDLEN.on_write
    @RDH.on_write
    def move_ring(self, old: Word, new: Word) -> None:
        """Forget descriptors that were read from another ring, or another place of it."""
        self._fetched.clear()

    @RDT.on_write
    def take_buffers(self, old: Word, new: Word) -> None:
        """Use the descriptors that software has added."""
        self._store()

    @RDTR.on_write
    def flush_partial_block(self, old: Word, new: Word) -> None:
        """Interrupt now if FPD was written and a frame waits for its interrupt (13.4.30)."""
        self.RDTR = new.replace(FPD=0)
        if new.FPD and self._rx_delay.waiting:
            self._rx_delay.end()
            self.cause(RXT0)

    # -- from the line to the FIFO -------------------------------------------------------------------------------------

    def receive(self, frame: bytes, *, crc_error: bool = False, symbol_error: bool = False) -> None:
        """Receive a frame from the line.

        Args:
            frame: from the destination address on, without FCS.
            crc_error: True if its FCS is wrong.
            symbol_error: True if a symbol was damaged on the line.
        """
        with self.held:
            control = Control.of(self.raw("RCTL"))
            if not control.enabled or len(frame) < offload.ETHERNET or not (self._up or self.loops):
                return
            tag = offload.tag_of(frame, self.raw("VET"))
            if not self.is_for_us(frame[:6], control) or (tag is not None and self._is_foreign(tag, control)):
                return
            if frame[12:14] == PAUSE and self._is_control(frame, control):
                return
            errors = 0
            if crc_error or symbol_error or not SMALLEST <= len(frame) + CRC <= LARGEST:
                errors = self._count_errors(frame, tag, control, crc_error=crc_error, symbol_error=symbol_error)
                if errors and not control.bad:
                    return
            if self._fifo_bytes + len(frame) + CRC > (self.raw("PBA") & 0xFFFF) * KIB:
                self.count("MPC")
                self.count_total_received(frame)
                self.cause(RXO)
                return
            if not errors:
                self.count_received(frame)
            self._queue(frame, tag, control, errors & 0xFF)
            self._store()

    @property
    def loops(self) -> bool:
        """True if what is sent comes back: loopback in the PHY, or before it (RCTL.LBM)."""
        return self.phy.loops or Control.of(self.raw("RCTL")).loopback

    def _is_foreign(self, tag: int, control: Control) -> bool:
        """Return True if the VLAN filter drops a frame (9.3)."""
        if not control.vlans:
            return False
        return not self.is_our_vlan(tag) or (control.canonical and tag >> 12 & 1 != control.wanted)

    def _is_control(self, frame: bytes, control: Control) -> bool:
        """Count a flow control frame; return True if it is not passed on (8.7.3, 8.7.4)."""
        if frame[14:16] == b"\0\1" and self.CTRL.RFCE:
            self.count("XOFFRXC" if frame[16:18] != b"\0\0" else "XONRXC")
        elif frame[14:16] == b"\0\1":
            self.count("FCRUC")
        return not control.flow

    def _count_errors(
        self, frame: bytes, tag: int | None, control: Control, *, crc_error: bool, symbol_error: bool
    ) -> int:
        """Count what is wrong with a frame; return the error bits, and 0x100 for a wrong length, which has none."""
        size = len(frame) + CRC
        most = LARGEST_LONG if control.long else LARGEST + (offload.TAG if tag is not None else 0)
        errors = 0
        if size < SMALLEST:
            self.count("RFC" if crc_error else "RUC")
            errors = 0x100
        elif size > most:
            self.count("RJC" if crc_error else "ROC")
            errors = 0x100
        elif crc_error:
            self.count("CRCERRS")
        if errors:
            self.count("RLEC")
        if symbol_error:
            self.count("SYMERRS")
            self.count("RXERRC")
            errors |= RX_SE | RX_RXE
        if crc_error:
            errors |= RX_CE
        if errors:
            self.count_total_received(frame)
        return errors

    def _queue(self, frame: bytes, tag: int | None, control: Control, errors: int) -> None:
        """Put a frame into the FIFO as its buffers will have it."""
        status = 0 if self.is_exact(frame[:6], control) else RX_PIF
        special = 0
        whole = inner = frame if tag is None else offload.without_tag(frame)
        if tag is not None:
            if self.CTRL.VME:
                special = tag
                status |= RX_VP
            else:
                whole = frame
        if not control.strips:
            crc = zlib.crc32(frame).to_bytes(CRC, "little")
            whole += bytes(byte ^ 0xFF for byte in crc) if errors & RX_CE else crc
        checks = self.raw("RXCSUM")
        checksum = ~offload.ones_sum(whole[checks & PCSS :]) & 0xFFFF
        if checks & (IPOFL | TUOFL):
            checked, wrong = self._check(inner, checks)
            status, errors = status | checked, errors | wrong
        else:
            status |= RX_IXSM
        self._fifo.append(Incoming(whole, status, errors, checksum, special))
        self._fifo_bytes += len(whole)

    @staticmethod
    def _check(frame: bytes, checks: int) -> tuple[int, int]:
        """Return status and error bits about the checksums of a frame (3.2.9)."""
        verdict = offload.verify(frame)
        status = errors = 0
        if checks & IPOFL and verdict.ip is not None:
            status |= RX_IPCS
            errors |= 0 if verdict.ip else RX_IPE
        if checks & TUOFL and verdict.transport is not None:
            status |= RX_TCPCS
            errors |= 0 if verdict.transport else RX_TCPE
        return status or RX_IXSM, errors

    # -- from the FIFO to memory ------------------------------------------------------------------------------------

    def _store(self) -> None:
        """Move frames from the FIFO to the guest's buffers while there are any."""
        fifo, ring = self._fifo, self._rx
        control = Control.of(self.raw("RCTL"))
        if not fifo or not control.enabled:
            return
        few = ring.count >> control.few
        while fifo:
            frame = fifo[0]
            while frame.done < len(frame.data):
                free = ring.free
                if not free:
                    if not frame.starved:
                        frame.starved = True
                        self.count("RNBC")
                    return
                self._fill(frame, control.size, free)
                if free > few >= free - 1:
                    self.cause(RXDMT0)
            fifo.popleft()
            self._fifo_bytes -= len(frame.data)
            self._announce(len(frame.data))

    def _fill(self, frame: Incoming, size: int, free: int) -> None:
        """Store a piece of a frame in the next buffer, and write its descriptor last."""
        ring = self._rx
        head = ring.head
        place = ring.address(head)
        if not self._fetched:
            many = min(free, ring.count - head, FETCHED)
            self._fetched.extend(first for first, _ in PAIR.iter_unpack(self.dma.read(place, many * SIZE)))
        address = self._fetched.popleft()
        piece = frame.data[frame.done : frame.done + size]
        frame.done += len(piece)
        # The head moves even if the buffer cannot be written: a descriptor is never used twice.
        ring.advance()
        if address:
            # A null descriptor stores nothing (3.2.3).
            self.dma.write(address, piece)
        # The facts about the whole frame are in its last descriptor (3.2.3.2).
        last = frame.done == len(frame.data)
        status, errors = (frame.status | RX_EOP, frame.errors) if last else (frame.status & RX_VP, 0)
        written = RX_WRITTEN.pack(len(piece), frame.checksum, status | RX_DD, errors, frame.special)
        self.dma.write(place + 8, written)

    def _announce(self, size: int) -> None:
        """Interrupt for a frame that was stored, now or after its delay (13.4.30, 13.4.31)."""
        delay = self.raw("RDTR")
        if delay and size > self.raw("RSRPD"):
            self._rx_delay.restart(delay, self.raw("RADV"))
        else:
            self._rx_delay.end()
            self.cause(RXT0)
