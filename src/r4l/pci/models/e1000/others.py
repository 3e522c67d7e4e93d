# SPDX-License-Identifier: MIT
"""Registers that only keep what is written.

Source: Intel 8254x Software Developer's Manual (317453), Table 13-2 and the sections named there.
"""

from __future__ import annotations

from r4l.pci.arrays import RegisterArray
from r4l.pci.memory import Memory
from r4l.pci.models.e1000.chip import Chip
from r4l.pci.registers import Register


class Others(Chip):
    """The rest of the registers."""

    # 13.4.8 to 13.4.16, 13.4.23 to 13.4.45, 13.8
    FLA = Register(0x001C)
    FCAL = Register(0x0028)
    FCAH = Register(0x002C)
    FCT = Register(0x0030)
    FCTTV = Register(0x0170)
    TXCW = Register(0x0178)
    RXCW = Register(0x0180)
    TIPG = Register(0x0410)
    AIT = Register(0x0458)
    LEDCTL = Register(0x0E00, reset=0x07068302)
    FCRTL = Register(0x2160)
    FCRTH = Register(0x2168)
    RDFH = Register(0x2410)
    RDFT = Register(0x2418)
    RDFHS = Register(0x2420)
    RDFTS = Register(0x2428)
    RDFPC = Register(0x2430)
    TXDMAC = Register(0x3000, reset=1)
    TDFH = Register(0x3410)
    TDFT = Register(0x3418)
    TDFHS = Register(0x3420)
    TDFTS = Register(0x3428)
    TDFPC = Register(0x3430)
    TSPMT = Register(0x3830, reset=0x01000400)
    # Wake-up and manageability, 13.6
    WUC = Register(0x5800)
    WUFC = Register(0x5808)
    WUS = Register(0x5810)
    MANC = Register(0x5820)
    IPAV = Register(0x5838)
    WUPL = Register(0x5900)
    IP4AT = RegisterArray(0x5840, count=3, stride=8)
    IP6AT = RegisterArray(0x5880, count=4)
    WUPM = Memory(0x5A00, 128)
    FFLT = RegisterArray(0x5F00, count=4, stride=8)
    FFMT = RegisterArray(0x9000, count=128, stride=8)
    FFVT = RegisterArray(0x9800, count=128, stride=8)
    PBM = Memory(0x10000, 0x10000)
