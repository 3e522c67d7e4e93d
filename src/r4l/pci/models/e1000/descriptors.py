# SPDX-License-Identifier: MIT
"""Descriptors of the rings: 16 bytes in the guest's memory each.

Source: Intel 8254x Software Developer's Manual (317453), 3.2.3 (receive), 3.3 (transmit).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from r4l.pci.rings import DescriptorRing

SIZE = 16
"""Bytes of a descriptor."""
PAIR = struct.Struct("<QQ")
"""A descriptor as two words of 64 bits, like in the manual's tables."""

# -- receive, 3.2.3 ----------------------------------------------------------------------------------------------------

RX_WRITTEN = struct.Struct("<HHBBH")
"""Length, packet checksum, status, errors, special: the second word, which the card writes."""
RX_DD, RX_EOP, RX_IXSM, RX_VP = 0x01, 0x02, 0x04, 0x08
RX_TCPCS, RX_IPCS, RX_PIF = 0x20, 0x40, 0x80
"""Bits of the status (Table 3-2)."""
RX_CE, RX_SE, RX_RXE = 0x01, 0x02, 0x80
RX_TCPE, RX_IPE = 0x20, 0x40
"""Bits of the errors (Table 3-3)."""

# -- transmit, 3.3 -----------------------------------------------------------------------------------------------------

DEXT = 1 << 29
"""The descriptor is a context or a data descriptor, not a legacy one."""
DTYP_SHIFT, DTYP_MASK, DTYP_CONTEXT, DTYP_DATA = 20, 0xF, 0, 1
"""Type of such a descriptor (3.3.5)."""
CMD_SHIFT = 24
EOP, IFCS, IC, TSE, RS, RPS, VLE, IDE = 0x01, 0x02, 0x04, 0x04, 0x08, 0x10, 0x40, 0x80
"""Bits of the command: IC in legacy descriptors is where TSE is in data descriptors (3.3.3.1, 3.3.7.1)."""
TUCMD_TCP, TUCMD_IP, TUCMD_TSE = 0x01, 0x02, 0x04
"""Bits of a context's command (3.3.6.1)."""
IXSM, TXSM = 0x01, 0x02
"""Bits of the packet options of a data descriptor (3.3.7.3)."""
TX_DD = 0x01
"""Bit of the status that the card writes (3.3.3.2)."""
STATUS_AT = 12
"""Offset of the status in a transmit descriptor."""


class Context(NamedTuple):
    """A context descriptor: places of checksums, and lengths for segmentation (3.3.6)."""

    ipcss: int = 0
    ipcso: int = 0
    ipcse: int = 0
    tucss: int = 0
    tucso: int = 0
    tucse: int = 0
    payload: int = 0
    command: int = 0
    header: int = 0
    segment: int = 0

    @classmethod
    def unpack(cls, first: int, second: int) -> Context:
        """Return the context for the two words of its descriptor."""
        return cls(
            ipcss=first & 0xFF,
            ipcso=first >> 8 & 0xFF,
            ipcse=first >> 16 & 0xFFFF,
            tucss=first >> 32 & 0xFF,
            tucso=first >> 40 & 0xFF,
            tucse=first >> 48,
            payload=second & 0xFFFFF,
            command=second >> CMD_SHIFT & 0xFF,
            header=second >> 40 & 0xFF,
            segment=second >> 48,
        )


# -- for readers of a recording ----------------------------------------------------------------------------------------

RECEIVE_RING = DescriptorRing(
    "receive",
    base=("RDBAL", "RDBAH"),
    head="RDH",
    tail="RDT",
    length="RDLEN",
    size=SIZE,
    fields={
        "address": (63, 0), "length": (79, 64), "checksum": (95, 80), "DD": 96, "EOP": 97, "IXSM": 98, "VP": 99,
        "TCPCS": 101, "IPCS": 102, "PIF": 103, "CE": 104, "SE": 105, "TCPE": 109, "IPE": 110, "RXE": 111,
        "special": (127, 112),
    },
    done="DD",
    buffer=("address", "length"),
)  # fmt: skip
TRANSMIT_RING = DescriptorRing(
    "transmit",
    base=("TDBAL", "TDBAH"),
    head="TDH",
    tail="TDT",
    length="TDLEN",
    size=SIZE,
    fields={
        "address": (63, 0), "length": (79, 64), "DTYP": (87, 84), "EOP": 88, "IFCS": 89, "TSE": 90, "RS": 91,
        "RPS": 92, "DEXT": 93, "VLE": 94, "IDE": 95, "DD": 96, "options": (111, 104), "special": (127, 112),
    },
    done="DD",
    buffer=("address", "length"),
)  # fmt: skip
