# SPDX-License-Identifier: MIT
"""PCI devices written in Python, that a VM's guest finds on its bus (docs/devices.md).

from r4l import pci

class Counter(pci.Device):
    vendor_id, device_id = 0x1234, 0xC0DE
    bars = (pci.Bar(4096),)
    COUNT = pci.Register(0x00, access=pci.RO)
"""

from __future__ import annotations

from r4l.pci.capabilities import Capability, Express, Msi, Msix, PowerManagement, Vendor
from r4l.pci.device import Device, ModelError, Reset
from r4l.pci.dma import DmaFault
from r4l.pci.faults import KINDS, Fault
from r4l.pci.layout import Bar
from r4l.pci.registers import (
    RC,
    RO,
    RW,
    W1C,
    W1S,
    WO,
    AccessType,
    DefinitionError,
    Field,
    Memory,
    Partial,
    Register,
    RegisterArray,
    Word,
)
from r4l.pci.server import Server
from r4l.pci.timers import RunningTime, SteppedTime, Timer
from r4l.pci.trace import (
    Access,
    Missing,
    Question,
    Trace,
    config_write,
    dma_read,
    dma_write,
    happened,
    interrupt,
    read,
    write,
)

__all__ = [
    "KINDS",
    "RC",
    "RO",
    "RW",
    "W1C",
    "W1S",
    "WO",
    "Access",
    "AccessType",
    "Bar",
    "Capability",
    "DefinitionError",
    "Device",
    "DmaFault",
    "Express",
    "Fault",
    "Field",
    "Memory",
    "Missing",
    "ModelError",
    "Msi",
    "Msix",
    "Partial",
    "PowerManagement",
    "Question",
    "Register",
    "RegisterArray",
    "Reset",
    "RunningTime",
    "Server",
    "SteppedTime",
    "Timer",
    "Trace",
    "Vendor",
    "Word",
    "config_write",
    "dma_read",
    "dma_write",
    "happened",
    "interrupt",
    "read",
    "write",
]
