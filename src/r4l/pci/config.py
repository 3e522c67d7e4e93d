# SPDX-License-Identifier: MIT
"""The configuration space of a device: 256 bytes, or 4096 of PCI Express, some of whose bits software can write.

Source: PCI Local Bus Specification 3.0, 6.1 and 6.2; PCI Express Base 3.0, 7.2 and 7.9. The parts that QEMU emulates
(the addresses in the BARs, the vectors of MSI) QEMU either keeps to itself or writes here as well; both are harmless.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from r4l.pci.capabilities import Capability, Express
from r4l.pci.extended import HEADER as EXTENDED_HEADER
from r4l.pci.extended import ExtendedCapability
from r4l.pci.layout import BARS, Bar

SIZE = 256
EXTENDED_SIZE = 4096
COMMAND = 0x04
STATUS = 0x06
BAR0 = 0x10
POINTER = 0x34
INTERRUPT_LINE = 0x3C
FIRST_CAPABILITY = 0x40

IO_ENABLE = 0x1
MEMORY_ENABLE = 0x2
BUS_MASTER = 0x4
INTX_DISABLE = 0x400
"""Bits of Command (6.2.2)."""
WRITABLE_COMMAND = 0x0547
STATUS_INTERRUPT = 0x08
STATUS_CAPABILITIES = 0x10
STATUS_MASTER_ABORT = 0x2000
CLEARED_BY_ONES = 0xF900
"""Bits of Status (6.2.3)."""


@dataclass(frozen=True)
class ConfigRegister:
    """A register of the configuration space.

    Attributes:
        name: in the header as in Linux's include/uapi/linux/pci_regs.h; else the capability's name and its own:
            `PM_CONTROL`.
        offset: first byte.
        size: bytes.
    """

    name: str
    offset: int
    size: int


HEADER = (
    ConfigRegister("VENDOR_ID", 0x00, 2),
    ConfigRegister("DEVICE_ID", 0x02, 2),
    ConfigRegister("COMMAND", COMMAND, 2),
    ConfigRegister("STATUS", STATUS, 2),
    ConfigRegister("REVISION_ID", 0x08, 1),
    ConfigRegister("CLASS_CODE", 0x09, 3),
    ConfigRegister("CACHE_LINE_SIZE", 0x0C, 1),
    ConfigRegister("LATENCY_TIMER", 0x0D, 1),
    ConfigRegister("HEADER_TYPE", 0x0E, 1),
    ConfigRegister("BIST", 0x0F, 1),
    *(ConfigRegister(f"BASE_ADDRESS_{number}", BAR0 + 4 * number, 4) for number in range(BARS)),
    ConfigRegister("CARDBUS_CIS", 0x28, 4),
    ConfigRegister("SUBSYSTEM_VENDOR_ID", 0x2C, 2),
    ConfigRegister("SUBSYSTEM_ID", 0x2E, 2),
    ConfigRegister("ROM_ADDRESS", 0x30, 4),
    ConfigRegister("CAPABILITY_LIST", POINTER, 1),
    ConfigRegister("INTERRUPT_LINE", INTERRUPT_LINE, 1),
    ConfigRegister("INTERRUPT_PIN", INTERRUPT_LINE + 1, 1),
    ConfigRegister("MIN_GNT", 0x3E, 1),
    ConfigRegister("MAX_LAT", 0x3F, 1),
)
"""Registers of the header of type 0 (6.1)."""


class ConfigSpace:
    """The bytes of the configuration space, and the effect of writes.

    Args:
        identity: vendor, device, class code, revision, subsystem vendor and device.
        bars: BARs by their numbers.
        capabilities: capabilities in the order of the lists; extended ones have a list of their own.
        pin: 1 to 4 for INTA# to INTD#, 0 for none.

    Attributes:
        data: the present bytes.
        size: number of bytes: 4096 of a PCI Express device, else 256.
        end, extended_end: offsets after the last capability of each list.
        places: offset of each capability, in their order.
        registers: registers by name.
    """

    def __init__(
        self,
        identity: Sequence[int],
        bars: Mapping[int, Bar],
        capabilities: Sequence[Capability],
        pin: int,
    ) -> None:
        vendor, device, class_code, revision, subsystem_vendor, subsystem = identity
        self.size = EXTENDED_SIZE if any(isinstance(one, Express) for one in capabilities) else SIZE
        # What is too long is refused by the definition of a model, which asks for `end`.
        room = EXTENDED_SIZE + sum(len(one.body()[0]) for one in capabilities)
        data, mask, cleared, kept = bytearray(room), bytearray(room), bytearray(room), bytearray(room)
        struct.pack_into("<H", cleared, STATUS, CLEARED_BY_ONES)
        struct.pack_into("<HH", data, 0, vendor, device)
        struct.pack_into("<I", data, 0x08, class_code << 8 | revision)
        struct.pack_into("<HH", data, 0x2C, subsystem_vendor, subsystem)
        data[INTERRUPT_LINE + 1] = pin
        struct.pack_into("<H", mask, COMMAND, WRITABLE_COMMAND)
        mask[0x0C] = mask[0x0D] = mask[INTERRUPT_LINE] = 0xFF
        for number in range(BARS):
            if bar := bars.get(number):
                struct.pack_into("<I", data, BAR0 + 4 * number, bar.flags)
                free = ~(bar.size - 1)
                struct.pack_into("<I", mask, BAR0 + 4 * number, free & 0xFFFFFFFF)
                if bar.bits == 64:
                    struct.pack_into("<I", mask, BAR0 + 4 * number + 4, free >> 32 & 0xFFFFFFFF)
        self.places: list[int] = []
        self.end, self.extended_end = FIRST_CAPABILITY, SIZE
        link, last = POINTER, 0
        for one in capabilities:
            said, writable = one.body()
            if isinstance(one, ExtendedCapability):
                place, header = self.extended_end, EXTENDED_HEADER
                if last:
                    struct.pack_into("<I", data, last, int.from_bytes(data[last : last + 4], "little") | place << 20)
                struct.pack_into("<I", data, place, one.number | one.version << 16)
                last = place
            else:
                place, header = self.end, 2
                data[link] = place & 0xFF
                data[place : place + 2] = bytes([one.number, 0])
                link = place + 1
                data[STATUS] |= STATUS_CAPABILITIES
            begin, end = place + header, place + header + len(said)
            data[begin:end] = said
            mask[begin : begin + len(writable)] = writable
            cleared[begin : begin + len(one.cleared)] = one.cleared
            bits = b"\xff" * len(said) if one.sticky else one.kept
            kept[begin : begin + len(bits)] = bits
            self.places.append(place)
            if isinstance(one, ExtendedCapability):
                self.extended_end = (end + 3) & ~3
            else:
                self.end = (end + 3) & ~3
        self.registers = {one.name: one for one in (*HEADER, *self._of_capabilities(capabilities))}
        self._covering = {
            place: one for one in self.registers.values() for place in range(one.offset, one.offset + one.size)
        }
        self._names: dict[int, str] = {}
        self.data = data[: self.size]
        self._mask = bytes(mask[: self.size])
        self._cleared = bytes(cleared[: self.size])
        self._kept = {place: bits for place, bits in enumerate(kept[: self.size]) if bits}
        self._initial = bytes(self.data)

    def _of_capabilities(self, capabilities: Sequence[Capability]) -> Iterator[ConfigRegister]:
        """Yield the registers of the capabilities; those of a second one of its kind end in `[2]`."""
        seen: Counter[str] = Counter()
        for one, place in zip(capabilities, self.places, strict=True):
            seen[one.short] += 1
            number = f"[{seen[one.short]}]" if seen[one.short] > 1 else ""
            first = [("HEADER", 0, 4)] if isinstance(one, ExtendedCapability) else [("ID", 0, 1), ("NEXT", 1, 1)]
            for name, offset, size in (*first, *one.registers):
                yield ConfigRegister(f"{one.short}_{name}{number}", place + offset, size)

    def touched(self, offset: int, size: int) -> list[ConfigRegister]:
        """Return the registers that an access reaches, in their order."""
        found = (self._covering.get(place) for place in range(offset, offset + size))
        return list(dict.fromkeys(one for one in found if one))

    def names(self, offset: int, size: int) -> str:
        """Return the names of the registers that an access of a CPU reaches."""
        place = offset << 4 | size
        if place not in self._names:
            self._names[place] = " ".join(one.name for one in self.touched(offset, size))
        return self._names[place]

    def reset(self, *, power_on: bool = True) -> None:
        """Restore the state after power-on; without it, the bits that survive a reset keep theirs."""
        before = bytes(self.data)
        self.data[:] = self._initial
        if not power_on:
            for place, bits in self._kept.items():
                self.data[place] = self._initial[place] & ~bits | before[place] & bits

    def __getitem__(self, name: str) -> int:
        """Return the value of a register, by its name.

        Raises:
            KeyError: there is none of that name.
        """
        one = self.registers[name]
        return int.from_bytes(self.data[one.offset : one.offset + one.size], "little")

    def __setitem__(self, name: str, value: int) -> None:
        """Change a register, like the device itself: also bits that software cannot write.

        Raises:
            KeyError: there is none of that name.
            OverflowError: the value does not fit.
        """
        one = self.registers[name]
        self.data[one.offset : one.offset + one.size] = value.to_bytes(one.size, "little")

    def word(self, offset: int) -> int:
        """Return two bytes as an integer."""
        return int.from_bytes(self.data[offset : offset + 2], "little")

    def set_bits(self, offset: int, bits: int, *, on: bool) -> None:
        """Change read-only bits of two bytes, like the device itself."""
        value = self.word(offset) | bits if on else self.word(offset) & ~bits
        self.data[offset : offset + 2] = value.to_bytes(2, "little")

    @property
    def command(self) -> int:
        """The register Command."""
        return self.word(COMMAND)

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes, zeros beyond the end."""
        return bytes(self.data[offset : offset + size]).ljust(size, b"\0")

    def write(self, offset: int, value: bytes) -> None:
        """Apply a write by software: read-only bits stay, and ones written to certain bits of statuses clear them."""
        for place, byte in enumerate(value, offset):
            if place >= self.size:
                return
            mask = self._mask[place]
            new = self.data[place] & ~mask | byte & mask
            self.data[place] = new & ~(byte & self._cleared[place]) & 0xFF
