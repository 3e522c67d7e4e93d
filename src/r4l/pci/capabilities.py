# SPDX-License-Identifier: MIT
"""Capabilities of a PCI device in its configuration space.

Sources: PCI Local Bus Specification 3.0, 6.7 and 6.8 (list, MSI, MSI-X); PCI Power Management 1.2, 3.2; PCI Express
Base 3.0, 7.8. QEMU emulates the tables of MSI and MSI-X itself and gives the device one eventfd for each vector.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r4l.pci.declared import Declared, shown

if TYPE_CHECKING:
    from r4l.pci.extended import ExtendedVendor

PM_CONTROL = 4
"""Offset of the power management control register (PMCSR) in its capability."""
POWER_STATE = 0x3
NO_SOFT_RESET = 0x8
PME_ENABLE = 0x100
PME_STATUS = 0x8000
PME_FROM_D3COLD = 0x10
"""The highest of the states from which a PME can be signalled (PCI Power Management 1.2, 3.2.3)."""
MSIX_CONTROL = 2
"""Offset of Message Control in the capability of MSI-X (PCI 3.0, 6.8.2.3)."""
MSIX_ENABLE = 0x8000
EXPRESS_CONTROL = 8
"""Offset of Device Control in the PCI Express capability."""
EXPRESS_RESET = 0x8000
"""Initiate Function Level Reset, in Device Control."""
MOST_VENDOR = 189
"""Bytes of the longest vendor's capability: 192 follow the header of the configuration space."""


@dataclass(frozen=True)
class Capability(Declared):
    """One entry of the list. Subclasses define its contents.

    Attributes:
        sticky: True if what software writes survives every reset but power-on; `kept` names single bits.
    """

    sticky = False

    @property
    def number(self) -> int:
        """Capability ID."""
        raise NotImplementedError

    def body(self) -> tuple[bytes, bytes]:
        """Return the bytes after ID and pointer, and a mask of the bits that software can write."""
        raise NotImplementedError

    @property
    def cleared(self) -> bytes:
        """Mask of the bits that software clears by writing ones, like the second of `body`; empty for none."""
        return b""

    @property
    def kept(self) -> bytes:
        """Mask of the bits that survive every reset but power-on, like the second of `body`; empty for none."""
        return b""

    @property
    def registers(self) -> Sequence[tuple[str, int, int]]:
        """Name, offset in the capability and bytes of each register after ID and pointer."""
        raise NotImplementedError

    @property
    def short(self) -> str:
        """Beginning of its registers' names."""
        raise NotImplementedError


@dataclass(frozen=True)
class Msi(Capability):
    """Message signalled interrupts.

    Args:
        vectors: a power of two, at most 32.
        bits: width of the address, 32 or 64.
        maskable: True if each vector can be masked.
    """

    vectors: int = 1
    bits: int = 64
    maskable: bool = False
    number = 0x05
    short = "MSI"

    @property
    def registers(self) -> Sequence[tuple[str, int, int]]:
        """Message Control, Address, Data, Mask and Pending (6.8.1)."""
        data = 12 if self.bits == 64 else 8
        return (
            ("CONTROL", 2, 2),
            ("ADDRESS", 4, 4),
            *([("UPPER_ADDRESS", 8, 4)] if self.bits == 64 else []),
            ("DATA", data, 2),
            *([("MASK", data + 4, 4), ("PENDING", data + 8, 4)] if self.maskable else []),
        )

    def body(self) -> tuple[bytes, bytes]:
        """Return Message Control, Address, Data, and for maskable vectors Mask and Pending (6.8.1)."""
        wide = self.bits == 64
        control = (self.vectors.bit_length() - 1) << 1 | (0x80 if wide else 0) | (0x100 if self.maskable else 0)
        size = 2 + (8 if wide else 4) + (12 if self.maskable else 2)
        mask = bytearray(size)
        struct.pack_into("<HI", mask, 0, 0x71, 0xFFFFFFFC)
        if wide:
            struct.pack_into("<I", mask, 6, 0xFFFFFFFF)
        data = 10 if wide else 6
        struct.pack_into("<H", mask, data, 0xFFFF)
        if self.maskable:
            struct.pack_into("<I", mask, data + 4, (1 << self.vectors) - 1)
        return struct.pack("<H", control).ljust(size, b"\0"), bytes(mask)

    def __post_init__(self) -> None:
        if self.vectors not in (1, 2, 4, 8, 16, 32):
            raise self.wrong(f"has {self.vectors} vectors", "give 1, 2, 4, 8, 16 or 32")
        if self.bits not in (32, 64):
            raise self.wrong(f"has an address of {self.bits} bits", "give 32 or 64")


@dataclass(frozen=True)
class Msix(Capability):
    """Message signalled interrupts with a table.

    Args:
        vectors: at most 2048.
        bar: number of the BAR with table and pending bits, whose place no register may take.
        table: offset of the table in the BAR, a multiple of 8.
        pending: offset of the pending bits, a multiple of 8; None: they follow the table.
    """

    vectors: int = 1
    bar: int = 0
    table: int = 0
    pending: int | None = None
    number = 0x11
    short = "MSIX"
    registers = (("CONTROL", 2, 2), ("TABLE", 4, 4), ("PENDING", 8, 4))

    @property
    def pending_at(self) -> int:
        """Offset of the pending bits in the BAR."""
        return self.table + 16 * self.vectors if self.pending is None else self.pending

    @property
    def pending_size(self) -> int:
        """Bytes of the pending bits: whole quadwords (6.8.2)."""
        return (self.vectors + 63) // 64 * 8

    @property
    def places(self) -> tuple[tuple[int, int, str], ...]:
        """Parts of the BAR that the capability takes: first offset, offset after the last, and content."""
        pending = self.pending_at
        return (
            (self.table, self.table + 16 * self.vectors, "the table of MSI-X"),
            (pending, pending + self.pending_size, "the pending bits of MSI-X"),
        )

    def body(self) -> tuple[bytes, bytes]:
        """Return Message Control, and the offsets of table and pending bits."""
        said = struct.pack("<HII", self.vectors - 1, self.table | self.bar, self.pending_at | self.bar)
        return said, struct.pack("<HII", 0xC000, 0, 0)

    def __post_init__(self) -> None:
        if not 1 <= self.vectors <= 2048:
            raise self.wrong(f"has {self.vectors} vectors", "give 1 to 2048")
        for name, offset in (("table", self.table), ("pending", self.pending_at)):
            if offset % 8 or not 0 <= offset < 1 << 32:
                raise self.wrong(f"has the {name} at {offset:#x}", "give an offset that is a multiple of 8")
        (table, table_end, _), (pending, pending_end, _) = self.places
        if table < pending_end and pending < table_end:
            raise self.wrong(
                f"has its pending bits at {pending:#x}, and its table until {table_end:#x}",
                "give another pending=, or none: they then follow the table",
            )


@dataclass(frozen=True)
class PowerManagement(Capability):
    """Power states; D0 and D3hot always exist.

    Args:
        d1: True if D1 exists.
        d2: True if D2 exists.
        pme: bits of the states from which a PME can be signalled: D0, D1, D2, D3hot, D3cold from the lowest.
        keeps: True if the registers survive D3hot (No_Soft_Reset); otherwise they are reset on the way back to D0, and
            so is the configuration space.
    """

    d1: bool = False
    d2: bool = False
    pme: int = 0
    keeps: bool = True
    number = 0x01
    short = "PM"
    registers = (("CAPABILITIES", 2, 2), ("CONTROL", 4, 2), ("BRIDGE", 6, 1), ("DATA", 7, 1))

    def __post_init__(self) -> None:
        if not 0 <= self.pme < 1 << 5:
            raise self.wrong(f"has the pme {self.pme:#x}", "give a mask of five states, 0x00 to 0x1f")

    def body(self) -> tuple[bytes, bytes]:
        """Return PMC (version 3) and PMCSR (3.2.3, 3.2.4)."""
        abilities = 3 | (0x200 if self.d1 else 0) | (0x400 if self.d2 else 0) | self.pme << 11
        control = NO_SOFT_RESET if self.keeps else 0
        return struct.pack("<HHH", abilities, control, 0), struct.pack("<HHH", 0, POWER_STATE | PME_ENABLE, 0)

    @property
    def cleared(self) -> bytes:
        """PME_Status (3.2.4)."""
        return struct.pack("<HHH", 0, PME_STATUS, 0)

    @property
    def kept(self) -> bytes:
        """PME_Status and PME_En, if a PME can be signalled from D3cold (3.2.4)."""
        return struct.pack("<HHH", 0, PME_STATUS | PME_ENABLE if self.pme & PME_FROM_D3COLD else 0, 0)

    def has(self, state: int) -> bool:
        """Return True if a power state exists.

        Args:
            state: 0 to 3 for D0 to D3hot.
        """
        return state in (0, 3) or (self.d1 if state == 1 else self.d2)


@dataclass(frozen=True)
class Express(Capability):
    """PCI Express endpoint with a link of one lane at 2.5 GT/s.

    Args:
        function_reset: True if the device has Function Level Reset.
    """

    function_reset: bool = True
    number = 0x10
    short = "EXPRESS"
    registers = (
        ("CAPABILITIES", 0x02, 2),
        ("DEVICE_CAPABILITIES", 0x04, 4),
        ("DEVICE_CONTROL", 0x08, 2),
        ("DEVICE_STATUS", 0x0A, 2),
        ("LINK_CAPABILITIES", 0x0C, 4),
        ("LINK_CONTROL", 0x10, 2),
        ("LINK_STATUS", 0x12, 2),
        ("SLOT_CAPABILITIES", 0x14, 4),
        ("SLOT_CONTROL", 0x18, 2),
        ("SLOT_STATUS", 0x1A, 2),
        ("ROOT_CONTROL", 0x1C, 2),
        ("ROOT_CAPABILITIES", 0x1E, 2),
        ("ROOT_STATUS", 0x20, 4),
        ("DEVICE_CAPABILITIES_2", 0x24, 4),
        ("DEVICE_CONTROL_2", 0x28, 2),
        ("DEVICE_STATUS_2", 0x2A, 2),
        ("LINK_CAPABILITIES_2", 0x2C, 4),
        ("LINK_CONTROL_2", 0x30, 2),
        ("LINK_STATUS_2", 0x32, 2),
        ("SLOT_CAPABILITIES_2", 0x34, 4),
        ("SLOT_CONTROL_2", 0x38, 2),
        ("SLOT_STATUS_2", 0x3A, 2),
    )

    def body(self) -> tuple[bytes, bytes]:
        """Return version 2 of the structure (7.8): capabilities, device and link; absent parts are 0."""
        said, mask = bytearray(58), bytearray(58)
        struct.pack_into("<H", said, 0, 0x0002)
        # Role-based error reporting, and FLR.
        struct.pack_into("<I", said, 2, 1 << 15 | (1 << 28 if self.function_reset else 0))
        struct.pack_into("<I", said, 10, 0x11)
        struct.pack_into("<H", said, 16, 0x11)
        struct.pack_into("<H", mask, 6, 0x7FFF)
        struct.pack_into("<H", mask, 14, 0x00C3)
        return bytes(said), bytes(mask)


@dataclass(frozen=True)
class Vendor(Capability):
    """Bytes defined by the vendor.

    Args:
        data: bytes after the length.
        writable: mask of the bits that software can write; empty for none.
    """

    data: bytes = b""
    writable: bytes = b""
    number = 0x09
    short = "VENDOR_SPECIFIC"

    @property
    def registers(self) -> Sequence[tuple[str, int, int]]:
        """The length, and the vendor's bytes as a whole."""
        return (("LENGTH", 2, 1), *([("DATA", 3, len(self.data))] if self.data else []))

    def body(self) -> tuple[bytes, bytes]:
        """Return the length of the whole capability, and the data."""
        return bytes([3 + len(self.data)]) + self.data, b"\0" + self.writable.ljust(len(self.data), b"\0")

    def __post_init__(self) -> None:
        require_vendor_bytes(self, MOST_VENDOR)


def require_vendor_bytes(one: Vendor | ExtendedVendor, most: int) -> None:
    """Refuse a vendor's capability that has too many bytes, or a mask that is longer than they are.

    Raises:
        DefinitionError: it does.
    """
    if len(one.data) > most:
        raise one.wrong(f"has {len(one.data)} bytes of data", f"give at most {most}")
    if len(one.writable) > len(one.data):
        raise one.wrong(
            f"has the mask {shown(one.writable)} for {len(one.data)} bytes", "give as many bytes as data has"
        )
