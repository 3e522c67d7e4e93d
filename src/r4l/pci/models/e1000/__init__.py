# SPDX-License-Identifier: MIT
"""Intel's 82540EM, the e1000 that QEMU emulates too, and its brothers 82540EP, 82544GC, 82545EM, 82545GM and 82546GB.

Written from Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (317453); numbers of
sections are those of the manual. One job each:

* `chip`: identity. `card`: the whole: I/O ports, reset, errata.
* `link`, `phy`: CTRL, STATUS, MDIC. `eeprom`: EECD, EERD. `interrupts`: ICR to IMC, ITR, delays.
* `receive`, `filters`, `control` (RCTL); `transmit`; both with `ring` and `descriptors`.
* `offload`: checksums, segments and VLAN tags, of bytes.
* `statistics`: what is counted. `others`: registers that only keep what is written.
"""

from r4l.pci.models.e1000.card import (
    E1000,
    E1000Ep,
    E1000Gb,
    E1000GbSecond,
    E1000Gc,
    E1000Gm,
    E1000Server,
    Errata,
)

__all__ = ["E1000", "E1000Ep", "E1000Gb", "E1000GbSecond", "E1000Gc", "E1000Gm", "E1000Server", "Errata"]
