# SPDX-License-Identifier: MIT
"""The transmitter: descriptors to frames on the line.

Source: Intel 8254x Software Developer's Manual (317453), 3.3 to 3.5 and 13.4.33 to 13.4.45.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from r4l.pci.fields import RO, RW, Field
from r4l.pci.models.e1000 import offload
from r4l.pci.models.e1000.descriptors import (
    CMD_SHIFT,
    DEXT,
    DTYP_CONTEXT,
    DTYP_MASK,
    DTYP_SHIFT,
    EOP,
    IC,
    IDE,
    IFCS,
    IXSM,
    PAIR,
    RPS,
    RS,
    SIZE,
    STATUS_AT,
    TSE,
    TUCMD_TSE,
    TX_DD,
    TXSM,
    VLE,
    Context,
)
from r4l.pci.models.e1000.interrupts import TXD_LOW, TXDW, TXQE, Delay
from r4l.pci.models.e1000.receive import Receiver
from r4l.pci.models.e1000.ring import Ring
from r4l.pci.models.e1000.statistics import CRC
from r4l.pci.registers import Register, Word

PADDED = 60
"""Bytes, without FCS, that TCTL.PSP fills a short packet to (13.4.33)."""
ENABLE, PAD = 1 << 1, 1 << 3
"""TCTL.EN and TCTL.PSP."""
FETCHED = 64
"""Number of descriptors that are read in one go."""
FIRST_REQUEST = 512
"""Bytes of a large send's descriptor that are read before it is reported, for the erratum. Intel does not publish the
number."""
LONGEST = 1 << 20
"""Bytes of a packet; a chain of descriptors without EOP could be endless."""
FRAME_WORK, DESCRIPTOR_WORK = 1024, 64
"""Work for a frame and for a descriptor beside their bytes, by time: as much as for so many bytes."""
SEGMENTS_AT_ONCE = 4
"""Number of a large send's segments for whose headers the card looks for room in its FIFO before it reads the data of a
descriptor (13.4.45; the number is that of the C driver, `e1000_xmit_frame`)."""
MOST_WORK = 4 << 20
"""Work at one access, in bytes; the card does the rest after the guest's next accesses. A ring can hold 64 GiB, and one
large send a million frames."""


def _length(second: int) -> int:
    """Return the number of bytes of a descriptor's data (3.3.3, 3.3.7)."""
    return second & (0xFFFFF if second & DEXT else 0xFFFF)


class Transmitter(Receiver):
    """The transmit side of the card.

    Attributes:
        early_write_back: True to report descriptors of large sends, and of the frame after one, when the first part of
            their data was read: erratum 1, "LSO Premature Descriptor Write Back", of Intel's specification update for
            the 82546GB. The next descriptor is served when all of the data was read.
        late_seconds: time between the early report and the read of the rest.
    """

    TCTL = Register(
        0x0400,
        fields={"EN": 1, "PSP": 3, "CT": (11, 4), "COLD": (21, 12), "SWXOFF": 22, "RTLC": 24, "NRTU": 25},
    )
    TDBAL = Register(0x3800, access=RO, fields={"ADDRESS": Field(31, 4, RW)})
    TDBAH = Register(0x3804)
    TDLEN = Register(0x3808, access=RO, fields={"LEN": Field(19, 7, RW)})
    TDH = Register(0x3810, access=RO, fields={"HEAD": Field(15, 0, RW)})
    TDT = Register(0x3818, access=RO, fields={"TAIL": Field(15, 0, RW)})
    TIDV = Register(0x3820, access=RO, fields={"DELAY": Field(15, 0, RW)})
    TXDCTL = Register(
        0x3828,
        fields={"PTHRESH": (5, 0), "HTHRESH": (13, 8), "WTHRESH": (21, 16), "GRAN": 24, "LWTHRESH": (31, 25)},
    )
    TADV = Register(0x382C, access=RO, fields={"DELAY": Field(15, 0, RW)})

    early_write_back = False
    late_seconds = 0.002
    _tx: Ring
    _tx_delay: Delay
    _parts: list[bytes]
    _late: tuple[int, int, bytes] | None
    _segments: Iterator[bytearray] | None
    _tag: int | None
    _work: int
    _after_large_send: bool

    def set_up_transmitter(self) -> None:
        """Make the transmitter's own parts."""
        self._tx = Ring(self, "TD")
        self._tx_delay = Delay(self, lambda: self.cause(TXDW))
        self.reset_transmitter()

    def reset_transmitter(self) -> None:
        """Forget the packet in work."""
        self._parts = []
        self._size = self._options = self._start = 0
        self._context = Context()
        self._late = self._segments = self._tag = None
        self._work = 0
        self._after_large_send = False
        self._tx_delay.end()

    @TCTL.on_write
    def control_transmitter(self, old: Word, new: Word) -> None:
        """Begin or stop to send."""
        self.transmit()

    @TDT.on_write
    def take_descriptors(self, old: Word, new: Word) -> None:
        """Send what software has added."""
        self.transmit()

    def on_link(self, up: bool) -> None:
        """Go on sending when the link is back; without one the card stops."""
        if up:
            self.transmit()

    # -- descriptors ---------------------------------------------------------------------------------------------------

    def transmit(self) -> None:
        """Work on the ring until it is empty, the line is full, or enough was done for one access."""
        self._work = 0
        self._send_segments()
        ring = self._tx
        if self._late or not self.raw("TCTL") & ENABLE or not ring.free or not (self._up or self.loops):
            return
        low = (self.raw("TXDCTL") >> 25) * 8
        causes = 0
        while not self._late and (free := ring.free) and self._work < MOST_WORK and not self.line_is_full:
            many = min(free, ring.count - ring.head, FETCHED)
            place = ring.address(ring.head)
            for first, second in PAIR.iter_unpack(self.dma.read(place, many * SIZE)):
                # The head moves even if the data cannot be read: a descriptor is never used twice.
                ring.advance()
                if self.early_write_back and self._is_reported_early(second):
                    self._late = (first, second, self.dma.read(first, FIRST_REQUEST))
                else:
                    self._execute(first, second)
                causes |= self._report(place, second)
                place += SIZE
                if self._late:
                    self.after(self.late_seconds, self._execute_late)
                    break
                if self._work >= MOST_WORK:
                    break
            if low and free > low >= ring.free:
                causes |= TXD_LOW
        if not ring.free:
            causes |= TXQE
        if causes:
            self.cause(causes)
        if self._work >= MOST_WORK and ring.free and not self._segments:
            self.after(0, self.transmit)

    def _is_reported_early(self, second: int) -> bool:
        """Return True for a descriptor that the erratum concerns."""
        context = second & DEXT and second >> DTYP_SHIFT & DTYP_MASK == DTYP_CONTEXT
        large_send = second & DEXT and second >> CMD_SHIFT & TSE
        return not context and bool(large_send or self._after_large_send) and _length(second) > FIRST_REQUEST

    def _execute_late(self) -> None:
        """Read the rest of the data of a descriptor that was reported early, and go on with the ring."""
        if self._late:
            late, self._late = self._late, None
            self._execute(*late)
            self.transmit()

    def _report(self, place: int, second: int) -> int:
        """Write a descriptor back if it asks for that; return the cause of an interrupt, if it is due now."""
        command = second >> CMD_SHIFT & 0xFF
        if not command & (RS | RPS):
            return 0
        self.dma.write(place + STATUS_AT, bytes([second >> 32 & 0xF0 | TX_DD]))
        if command & IDE and (delay := self.raw("TIDV")):
            self._tx_delay.restart(delay, self.raw("TADV"))
            return 0
        return TXDW

    def _execute(self, first: int, second: int, begin: bytes = b"") -> None:
        """Do what a descriptor says. `begin`: the first part of its data, if that was read before."""
        command = second >> CMD_SHIFT & 0xFF
        extended = second & DEXT
        if extended and second >> DTYP_SHIFT & DTYP_MASK == DTYP_CONTEXT:
            self._context = Context.unpack(first, second)
            return
        length = _length(second)
        self._work += DESCRIPTOR_WORK + length
        if not self._parts:
            self._options = second >> 40 & 0xFF
        if length and self._size + length <= LONGEST:
            self._parts.append(begin + self.dma.read(first + len(begin), length - len(begin)))
            self._size += length
        if command & EOP:
            self._after_large_send = bool(extended and command & TSE)
            self._finish(second, command, extended=bool(extended))

    # -- packets -------------------------------------------------------------------------------------------------------

    def _finish(self, second: int, command: int, *, extended: bool) -> None:
        """Send the packet whose last descriptor this is."""
        parts, self._parts, self._size = self._parts, [], 0
        data = b"".join(parts)
        options = self._options
        if not data:
            return
        tag = second >> 48 if command & VLE and self.CTRL.VME else None
        if extended and command & TSE and self._context.command & TUCMD_TSE:
            self._look_for_room(max(map(len, parts)))
            self._segment(data, options, tag)
            return
        frame = bytearray(data)
        if extended:
            offload.finish(frame, self._context, ip=bool(options & IXSM), transport=bool(options & TXSM))
        elif command & IC:
            offload.insert_checksum(frame, options, second >> 16 & 0xFF, 0)
        if not command & IFCS and len(frame) > CRC:
            # The last four bytes are software's own FCS; nobody receives a frame with a wrong one.
            if zlib.crc32(frame[:-CRC]).to_bytes(CRC, "little") != frame[-CRC:]:
                self.note("a frame was sent with a wrong FCS")
                self.count_sent(bytes(frame[:-CRC]))
                return
            del frame[-CRC:]
        self._send(bytes(frame), tag)

    def _look_for_room(self, length: int) -> None:
        """Note a large send whose longest descriptor, of `length` bytes, has more segments than a card has room for."""
        size = self._context.segment
        if 0 < SEGMENTS_AT_ONCE * size < length:
            self.note(f"a descriptor of {length} bytes, for segments of {size}, can overrun the transmit FIFO")

    def _segment(self, data: bytes, options: int, tag: int | None) -> None:
        context = self._context
        self.count("TSCTC")
        header, payload = data[: context.header], data[context.header :]
        ip, transport = bool(options & IXSM), bool(options & TXSM)
        self._segments = offload.segments(header, payload, context, ip=ip, transport=transport)
        self._tag = tag
        self._send_segments()

    def _send_segments(self) -> None:
        """Send the frames of a large send, as many as are enough for one access."""
        for frame in self._segments or ():
            self._send(bytes(frame), self._tag)
            if self._work >= MOST_WORK:
                self.after(0, self.transmit)
                return
        self._segments = None

    def _send(self, frame: bytes, tag: int | None) -> None:
        if tag is not None:
            frame = offload.with_tag(frame, self.VET, tag)
        if len(frame) < PADDED and self.raw("TCTL") & PAD:
            frame = frame.ljust(PADDED, b"\0")
        self._work += FRAME_WORK + len(frame)
        self.count_sent(frame)
        if self.loops:
            self.receive(frame)
        else:
            self.send_frame(frame)
