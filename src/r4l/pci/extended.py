# SPDX-License-Identifier: MIT
"""Capabilities of a PCI Express device in its extended configuration space, from offset 0x100 on.

Source: PCI Express Base 3.0, 7.9 (list), 7.10 (errors), 7.12 (serial number), 7.19 (vendor); names as in Linux's
include/uapi/linux/pci_regs.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from r4l.pci.capabilities import Capability, require_vendor_bytes

HEADER = 4
"""Bytes of the header: ID, version, and offset of the next one (7.9.3)."""
MOST_EXTENDED = 4096 - 256 - 8
"""Bytes of the longest vendor's capability, which has 8 before its data."""
UNCORRECTABLE = 0x001F_F030
"""Errors that an endpoint of 7.10.2 has: Data Link Protocol, Surprise Down, and Poisoned TLP to Unsupported Request."""
FATAL = 0x0006_2030
"""Errors that are fatal after a reset (7.10.4)."""
CORRECTABLE = 0x0000_31C1
"""Receiver, Bad TLP, Bad DLLP, REPLAY_NUM Rollover, Replay Timer Timeout, Advisory Non-Fatal (7.10.5)."""
ADVISORY = 0x0000_2000
"""Advisory Non-Fatal, masked after a reset (7.10.6)."""


@dataclass(frozen=True)
class ExtendedCapability(Capability):
    """One entry of the list in the extended configuration space. Subclasses define its contents as those of
    `Capability` do, after a header of four bytes."""

    version = 1


@dataclass(frozen=True)
class AdvancedErrors(ExtendedCapability):
    """Advanced Error Reporting of an endpoint (7.10). The model sets what has happened:
    `self.config["AER_UNCORRECTABLE_STATUS"] |= 1 << 20`; software clears it by ones, and no reset but power-on does.

    Args:
        ecrc: True if the device can generate and check ECRC.
    """

    ecrc: bool = False
    number = 0x0001
    short = "AER"
    sticky = True
    registers = (
        ("UNCORRECTABLE_STATUS", 0x04, 4),
        ("UNCORRECTABLE_MASK", 0x08, 4),
        ("UNCORRECTABLE_SEVERITY", 0x0C, 4),
        ("CORRECTABLE_STATUS", 0x10, 4),
        ("CORRECTABLE_MASK", 0x14, 4),
        ("CONTROL", 0x18, 4),
        *((f"HEADER_LOG_{number}", 0x1C + 4 * number, 4) for number in range(4)),
    )

    def body(self) -> tuple[bytes, bytes]:
        """Return the state after power-on: no error, fatal ones by their defaults, and the mask of what is written."""
        said = struct.pack("<6I16x", 0, 0, FATAL, 0, ADVISORY, 0xA0 if self.ecrc else 0)
        mask = struct.pack("<6I16x", 0, UNCORRECTABLE, UNCORRECTABLE, 0, CORRECTABLE, 0x140 if self.ecrc else 0)
        return said, mask

    @property
    def cleared(self) -> bytes:
        """Bits of the two status registers."""
        return struct.pack("<6I16x", UNCORRECTABLE, 0, 0, CORRECTABLE, 0, 0)


@dataclass(frozen=True)
class SerialNumber(ExtendedCapability):
    """The serial number of the device (7.12).

    Args:
        serial: number of 64 bits, an EUI-64 whose first byte is the highest.
    """

    serial: int
    number = 0x0003
    short = "SERIAL"
    registers = (("LOW", 4, 4), ("HIGH", 8, 4))

    def __post_init__(self) -> None:
        if not 0 <= self.serial < 1 << 64:
            raise self.wrong(f"has the serial {self.serial:#x}", "give a number of 64 bits")

    def body(self) -> tuple[bytes, bytes]:
        """Return the number, the lower half first, which software cannot write."""
        return self.serial.to_bytes(8, "little"), bytes(8)


@dataclass(frozen=True)
class ExtendedVendor(ExtendedCapability):
    """Bytes defined by the vendor (7.19).

    Args:
        data: bytes after the vendor's header.
        id: the vendor's number of this structure (VSEC ID), 16 bits.
        revision: the vendor's version of it (VSEC Rev), 4 bits.
        writable: mask of the bits that software can write; empty for none.
    """

    data: bytes = b""
    id: int = 0
    revision: int = 0
    writable: bytes = b""
    number = 0x000B
    short = "EXTENDED_VENDOR"

    def __post_init__(self) -> None:
        if not 0 <= self.id < 1 << 16:
            raise self.wrong(f"has the id {self.id:#x}", "give a number of 16 bits")
        if not 0 <= self.revision < 1 << 4:
            raise self.wrong(f"has the revision {self.revision:#x}", "give a number of 4 bits")
        require_vendor_bytes(self, MOST_EXTENDED)

    @property
    def registers(self) -> Sequence[tuple[str, int, int]]:
        """The vendor's header, and the vendor's bytes as a whole."""
        return (("VSEC", 4, 4), *([("DATA", 8, len(self.data))] if self.data else []))

    def body(self) -> tuple[bytes, bytes]:
        """Return the vendor's header with the length of the whole structure, and the data."""
        head = self.id | self.revision << 16 | (HEADER + 4 + len(self.data)) << 20
        return struct.pack("<I", head) + self.data, bytes(4) + self.writable.ljust(len(self.data), b"\0")
