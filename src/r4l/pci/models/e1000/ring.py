# SPDX-License-Identifier: MIT
"""A ring of descriptors, as its registers describe it: base, length, head, tail (3.2.6, 3.4)."""

from __future__ import annotations

from r4l.pci.device import Device
from r4l.pci.models.e1000.descriptors import SIZE


class Ring:
    """View of a ring's registers.

    Args:
        device: the card.
        prefix: begin of the registers' names, `RD` or `TD`.
    """

    def __init__(self, device: Device, prefix: str) -> None:
        self._values, slots = device._values, device.layout.slots
        self._low, self._high = slots[f"{prefix}BAL"], slots[f"{prefix}BAH"]
        self._length, self._head, self._tail = (slots[prefix + name] for name in ("LEN", "H", "T"))

    @property
    def count(self) -> int:
        """Number of descriptors."""
        return self._values[self._length] // SIZE

    @property
    def head(self) -> int:
        """Index of the next descriptor that the card uses."""
        return self._values[self._head]

    @property
    def tail(self) -> int:
        """Index of the first descriptor that belongs to software."""
        return self._values[self._tail]

    @property
    def free(self) -> int:
        """Number of descriptors that the card may use."""
        count = self.count
        # A tail beyond the ring is never reached.
        return (self.tail - self.head) % count if count and self.tail < count and self.head < count else 0

    def address(self, index: int) -> int:
        """Return the address of a descriptor in the guest's memory."""
        return (self._values[self._high] << 32 | self._values[self._low]) + index * SIZE

    def advance(self, by: int = 1) -> None:
        """Move the head."""
        self._values[self._head] = (self._values[self._head] + by) % self.count
