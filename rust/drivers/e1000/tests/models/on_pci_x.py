# SPDX-License-Identifier: MIT
"""Cards on PCI-X whose firmware lets them read 4096 bytes at once (8254x manual, 4.1.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from r4l.pci.capabilities import Capability
from r4l.pci.models.e1000 import E1000Gb, E1000Server

COMMAND = 3 << 2 | 1 << 1
"""Reads of 4096 bytes, relaxed ordering (4.1.1.3)."""
STATUS = 1 << 16 | 1 << 17 | 2 << 21
"""64 bits, 133 MHz, made for reads of 2048 bytes (4.1.1.4)."""


@dataclass(frozen=True)
class PciX(Capability):
    """The capability PCI-X.

    Args:
        status: PCI-X Status.
    """

    status: int = STATUS
    number = 0x07
    short = "PCIX"
    registers = (("COMMAND", 2, 2), ("STATUS", 4, 4))

    def body(self) -> tuple[bytes, bytes]:
        """Return PCI-X Command, which software can write, and PCI-X Status."""
        return struct.pack("<HI", COMMAND, self.status), struct.pack("<HI", 0x7F, 0)


class ServerOnPciX(E1000Server):
    """An 82545EM on PCI-X."""

    capabilities = (*E1000Server.capabilities, PciX())
    pcix = True


class GbOnPciX(E1000Gb):
    """The first port of an 82546GB on PCI-X, made for reads of 4096 bytes."""

    capabilities = (*E1000Gb.capabilities, PciX(STATUS | 1 << 21))
    pcix = True
