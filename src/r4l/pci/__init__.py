# SPDX-License-Identifier: MIT
"""PCI devices written in Python, that a VM's guest finds on its bus (docs/devices.md).

from r4l import pci

class Counter(pci.Device):
    vendor_id, device_id = 0x1234, 0xC0DE
    bars = (pci.Bar(4096),)
    COUNT = pci.Register(0x00, access=pci.RO)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from r4l import moved
from r4l.pci.access import ModelError, Reset
from r4l.pci.arrays import RegisterArray
from r4l.pci.capabilities import Capability, Express, Msi, Msix, PowerManagement, Vendor
from r4l.pci.declared import DefinitionError
from r4l.pci.device import Device
from r4l.pci.dma import DmaFault
from r4l.pci.extended import AdvancedErrors, ExtendedCapability, ExtendedVendor, SerialNumber
from r4l.pci.fault_kinds import FAULT_KINDS, Fault
from r4l.pci.fields import RC, RO, RW, W1C, W1S, WO, AccessType, Field
from r4l.pci.layout import Bar
from r4l.pci.memory import Memory
from r4l.pci.network import NetworkCard
from r4l.pci.registers import Partial, Register, Word
from r4l.pci.rings import DescriptorRing
from r4l.pci.server import Server
from r4l.pci.timers import RunningTime, SteppedTime, Timer
from r4l.pci.trace import (
    Condition,
    Missing,
    Trace,
    TraceEvent,
    config_write,
    dma_read,
    dma_write,
    happened,
    interrupt,
    read,
    write,
)

__all__ = [
    "FAULT_KINDS",
    "RC",
    "RO",
    "RW",
    "W1C",
    "W1S",
    "WO",
    "AccessType",
    "AdvancedErrors",
    "Bar",
    "Capability",
    "Condition",
    "DefinitionError",
    "DescriptorRing",
    "Device",
    "DmaFault",
    "Express",
    "ExtendedCapability",
    "ExtendedVendor",
    "Fault",
    "Field",
    "Memory",
    "Missing",
    "ModelError",
    "Msi",
    "Msix",
    "NetworkCard",
    "Partial",
    "PowerManagement",
    "Register",
    "RegisterArray",
    "Reset",
    "RunningTime",
    "SerialNumber",
    "Server",
    "SteppedTime",
    "Timer",
    "Trace",
    "TraceEvent",
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

if not TYPE_CHECKING:
    __getattr__ = moved.renamed(__name__, {"Access": "TraceEvent", "KINDS": "FAULT_KINDS", "Question": "Condition"})
