# SPDX-License-Identifier: MIT
"""The EEPROM: its contents, its serial protocol (Microwire), and the registers EECD and EERD.

Source: Intel 8254x Software Developer's Manual (317453), 5.2 to 5.6 (contents), 13.4.3 (EECD), 13.4.4 (EERD); Microchip
93C46B data sheet (DS21749), "Instruction Set" (Microwire).
"""

from __future__ import annotations

from collections.abc import Sequence

from r4l.pci.fields import RO, RW, Field
from r4l.pci.models.e1000.chip import Chip
from r4l.pci.registers import Register, Word

WORDS = 64
CHECKSUM_AT, CHECKSUM = 0x3F, 0xBABA
"""Words 00h to 3Fh add up to this (5.6.35)."""
ADDRESS_BITS = 6
OPCODE_BITS = 2
READ, WRITE, ERASE, EXTENDED = 0b10, 0b01, 0b11, 0b00
"""Instructions after the start bit."""
CLOCK, SELECT, DATA_IN, DATA_OUT, REQUEST, GRANT = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 6, 1 << 7
"""Bits of EECD (13.4.3)."""
WRITE_DISABLE, WRITE_ALL, ERASE_ALL, WRITE_ENABLE = range(4)
"""Upper two bits of the address in an extended instruction."""


def contents(mac: bytes, device_id: int, vendor_id: int = 0x8086) -> list[int]:
    """Return the words of an EEPROM.

    Args:
        mac: six bytes, for the words 00h to 02h (5.6.1).
        device_id: word 0Dh (5.6.10).
        vendor_id: word 0Eh.
    """
    words = [0xFFFF] * WORDS
    words[0:3] = [int.from_bytes(mac[at : at + 2], "little") for at in (0, 2, 4)]
    # 03h: compatibility; 08h, 09h: the board's part number; 0Ah: Initialization Control 1, with the IDs below valid.
    words[0x03] = 0x0000
    words[0x08:0x0A] = [0x0000, 0x0000]
    words[0x0A] = 0x4003
    words[0x0B:0x0F] = [0x001E, vendor_id, device_id, vendor_id]
    # 0Fh: Initialization Control 2; 24h: Initialization Control 3.
    words[0x0F] = 0xB000
    words[0x24] = 0x0000
    return with_checksum(words)


def with_checksum(words: Sequence[int]) -> list[int]:
    """Return the words with the right checksum."""
    return [*words[:CHECKSUM_AT], (CHECKSUM - sum(words[:CHECKSUM_AT])) & 0xFFFF]


class Microwire:
    """A 93C46: a serial EEPROM of 64 words, clocked bit by bit.

    Args:
        words: contents, changed by writes.
    """

    def __init__(self, words: list[int]) -> None:
        self.words = words
        self.writable = False
        self.out = 1
        self._selected = self._clock = 0
        self._begin()

    def _begin(self) -> None:
        self._bits: list[int] = []
        self._started = False
        self._sending: int | None = None
        self._write: tuple[range, int] | None = None

    def drive(self, *, select: int, clock: int, data: int) -> int:
        """Set the lines CS, SK and DI, high unless 0; return the level of DO."""
        if not select:
            if self._selected and self._write:
                places, value = self._write
                for place in places:
                    self.words[place] = value
            self._begin()
            # Selected again, DO says that a write is done; unselected it floats high.
            self.out = 1
        elif clock and not self._clock:
            self._rise(int(data != 0))
        self._selected, self._clock = select, clock
        return self.out

    def _rise(self, bit: int) -> None:
        """Handle a rising edge of the clock."""
        if self._sending is not None:
            place, number = divmod(self._sending, 16)
            self.out = self.words[place % WORDS] >> (15 - number) & 1
            self._sending += 1
            return
        if not self._started:
            self._started = bit == 1
            return
        self._bits.append(bit)
        size = OPCODE_BITS + ADDRESS_BITS
        if len(self._bits) == size:
            self._instruct(self._number(0, OPCODE_BITS), self._number(OPCODE_BITS, size))
        elif len(self._bits) == size + 16:
            self._take(self._number(0, OPCODE_BITS), self._number(OPCODE_BITS, size), self._number(size, size + 16))

    def _number(self, begin: int, end: int) -> int:
        return int("".join(map(str, self._bits[begin:end])), 2)

    def _instruct(self, opcode: int, address: int) -> None:
        """Execute an instruction that takes no data."""
        extended = address >> ADDRESS_BITS - 2
        if opcode == READ:
            # A zero comes before the data.
            self._sending, self.out = address * 16, 0
        elif opcode == ERASE and self.writable:
            self._write = (range(address, address + 1), 0xFFFF)
        elif opcode == EXTENDED and extended == ERASE_ALL and self.writable:
            self._write = (range(WORDS), 0xFFFF)
        elif opcode == EXTENDED and extended in (WRITE_ENABLE, WRITE_DISABLE):
            self.writable = extended == WRITE_ENABLE

    def _take(self, opcode: int, address: int, value: int) -> None:
        """Execute an instruction with data, at its last bit."""
        if not self.writable:
            return
        if opcode == WRITE:
            self._write = (range(address, address + 1), value)
        elif opcode == EXTENDED and address >> ADDRESS_BITS - 2 == WRITE_ALL:
            self._write = (range(WORDS), value)


class EepromPort(Chip):
    """The registers for the EEPROM.

    Attributes:
        eeprom: the chip.
        eeprom_arbiter: True if software has to ask for the EEPROM (EE_REQ), as on all cards but the 82544.
    """

    EECD = Register(
        0x0010,
        reset=0x0110,
        access=RO,
        fields={
            "SK": Field(0, 0, RW),
            "CS": Field(1, 1, RW),
            "DI": Field(2, 2, RW),
            "DO": 3,
            "FWE": Field(5, 4, RW),
            "EE_REQ": Field(6, 6, RW),
            "EE_GNT": 7,
            "EE_PRES": 8,
            "EE_SIZE": 9,
        },
    )
    EERD = Register(
        0x0014,
        access=RO,
        fields={"START": Field(0, 0, RW), "DONE": 4, "ADDR": Field(15, 8, RW), "DATA": (31, 16)},
    )

    eeprom: Microwire
    eeprom_arbiter = True
    eeprom_seconds = 0.0
    """Seconds until the EEPROM answers; an erratum."""

    @EECD.on_write
    def drive_pins(self, old: Word, new: Word) -> None:
        """Grant the pins to software, and pass their levels on."""
        # A driver that reads all words does this thousands of times, so it is done on plain integers.
        value = int(new)
        if not value & REQUEST:
            value &= ~GRANT
        elif self.eeprom_arbiter and not value & GRANT:
            if self.eeprom_seconds:
                self.after(self.eeprom_seconds, self._grant)
            else:
                value |= GRANT
        if value & GRANT or not self.eeprom_arbiter:
            level = self.eeprom.drive(select=value & SELECT, clock=value & CLOCK, data=value & DATA_IN)
            value = value & ~DATA_OUT | (DATA_OUT if level else 0)
        self._values[self.layout.slots["EECD"]] = value

    def _grant(self) -> None:
        self.EECD = self.EECD.replace(EE_GNT=self.EECD.EE_REQ)

    @EERD.on_write
    def read_word(self, old: Word, new: Word) -> None:
        """Read a word, after a write with START; while software has the pins, it waits."""
        self.EERD = new.replace(DONE=0, DATA=0)
        if not new.START:
            return
        if self.eeprom_seconds:
            self.after(self.eeprom_seconds, self._done)
        else:
            self._done()

    def _done(self) -> None:
        word = self.EERD
        self.EERD = word.replace(START=0, DONE=1, DATA=self.eeprom.words[word.ADDR % WORDS])
