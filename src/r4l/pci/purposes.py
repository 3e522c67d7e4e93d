# SPDX-License-Identifier: MIT
"""Purposes of transfers by DMA, as far as a device's rings tell them: a descriptor, a buffer, or other data.

A device reads a descriptor before it uses the buffer. So the buffers of the descriptors that it has read are kept, in
the order of their addresses, and a transfer costs the same in a ring of any length.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from r4l.pci.rings import BUFFER, DATA, DescriptorRing

if TYPE_CHECKING:
    from r4l.pci.device import Device

MOST = 4096
"""Number of descriptors whose buffers are kept, of those that one transfer reads; a guest may claim a ring of any
length."""
BELOW = 8
"""Number of buffers that are looked at, from the address downwards: they may overlap."""
NEAR = 32
"""Number of descriptors before and behind the head that are searched for a buffer whose descriptor was read while
transfers had no names. One further away may be an old one, whose buffer has another use by now."""


class RingBuffers:
    """The buffers of one ring.

    Args:
        ring: the ring.

    Attributes:
        place: address and number of descriptors of the ring to which the buffers belong.
        firsts: address of the buffer of each descriptor that was read, by index.
    """

    def __init__(self, ring: DescriptorRing) -> None:
        self.ring = ring
        self.place = (0, 0)
        self.firsts: dict[int, int] = {}
        bits = ring.bits
        self._fields = [bits[name] for name in ring.buffer]

    def of(self, descriptor: bytes) -> tuple[int, int]:
        """Return address and length of a descriptor's buffer; the length is 0 if the descriptor has none."""
        number = int.from_bytes(descriptor, "little")
        first, *size = ((number & field.mask) >> field.shift for field in self._fields)
        return first, size[0] if size else 0


class Purposes:
    """The purposes of one device's transfers.

    Args:
        device: the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._rings = [RingBuffers(ring) for ring in device.rings]
        # The begins of all buffers in order; for each the rings that have it, with descriptor and length.
        self._begins: list[int] = []
        self._owners: dict[int, dict[int, tuple[int, int]]] = {}

    def of(self, address: int, size: int) -> str:
        """Return the purpose of a transfer: "receive" for a descriptor of the ring of that name, "receive.buffer" for
        its buffers, "data" for other memory; empty for a device without rings.

        Args:
            address: first address of the transfer in the guest.
            size: bytes that the device reads; 0 if it writes.
        """
        for number, buffers in enumerate(self._rings):
            ring = buffers.ring
            place = begin, count = ring.place(self._device.layout, self._device._values)
            if place != buffers.place:
                self._forget(number)
                buffers.place = place
            if begin <= address < begin + count * ring.size:
                if ring.buffer and size > 0:
                    self._learn(number, address - begin, size)
                return ring.name
        if not self._rings:
            return ""
        near = self._known(address) or self._searched(address)
        return min(near)[1] + BUFFER if near else DATA

    def _learn(self, number: int, at: int, size: int) -> None:
        """Keep the buffers of the descriptors that a transfer reads.

        Args:
            number: number of the ring.
            at: offset of the transfer in the ring.
            size: bytes of the transfer.
        """
        buffers = self._rings[number]
        (begin, count), step = buffers.place, buffers.ring.size
        low = at // step
        high = min(count, -(-(at + size) // step), low + MOST)
        data = self._device.dma.peek(begin + low * step, (high - low) * step)
        for index in range(low, high if data else low):
            first, length = buffers.of(data[(index - low) * step : (index - low + 1) * step])
            self._drop(number, index)
            buffers.firsts[index] = first
            if len(buffers.firsts) > MOST:
                self._drop(number, next(iter(buffers.firsts)))
            if first not in self._owners:
                insort(self._begins, first)
            self._owners.setdefault(first, {})[number] = (index, length)

    def _drop(self, number: int, index: int) -> None:
        """Forget the buffer of a descriptor, unless another descriptor of the ring has the same one by now."""
        first = self._rings[number].firsts.pop(index, None)
        if first is None or self._owners.get(first, {}).get(number, (None,))[0] != index:
            return
        del self._owners[first][number]
        if not self._owners[first]:
            del self._owners[first]
            del self._begins[bisect_left(self._begins, first)]

    def _forget(self, number: int) -> None:
        for index in list(self._rings[number].firsts):
            self._drop(number, index)

    def _known(self, address: int) -> list[tuple[int, str]]:
        """Return the rings with a buffer at an address, each with the descriptor's distance from the head."""
        found = []
        end = bisect_right(self._begins, address)
        for first in self._begins[max(0, end - BELOW) : end]:
            for number, (index, length) in self._owners[first].items():
                if _covers(first, length, address):
                    found.append((self._distance(number, index), self._rings[number].ring.name))
        return found

    def _distance(self, number: int, index: int) -> int:
        """Return how far a descriptor is from the head of its ring."""
        buffers = self._rings[number]
        count = buffers.place[1]
        ahead = (index - self._head(buffers.ring)) % count
        return min(ahead, count - ahead)

    def _head(self, ring: DescriptorRing) -> int:
        return self._device._values[self._device.layout.slots[ring.head]]

    def _searched(self, address: int) -> list[tuple[int, str]]:
        """Return the same as `_known`, by a search near the head of each ring."""
        found = []
        for buffers in self._rings:
            ring, (begin, count) = buffers.ring, buffers.place
            if not ring.buffer or not count:
                continue
            head = self._head(ring)
            indices = ((head + sign * far) % count for far in range(min(NEAR, count // 2) + 1) for sign in (1, -1))
            for place, index in enumerate(indices):
                data = self._device.dma.peek(begin + index * ring.size, ring.size)
                if data and _covers(*buffers.of(data), address):
                    found.append((place // 2, ring.name))
                    break
        return found


def _covers(first: int, length: int, address: int) -> bool:
    """Return True if a buffer has an address. The device writes the length of what it has received only later."""
    return address == first or first < address < first + length
