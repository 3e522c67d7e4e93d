# SPDX-License-Identifier: MIT
"""A recording from a trace alone: the values that were read, written or transferred."""

from __future__ import annotations

from typing import Any

from r4l.pci.device import Device
from r4l.pci.recording.data import recording
from r4l.pci.recording.state import MOST_DESCRIPTORS, MOST_EVENTS, RecordedEvent, RingChange, State
from r4l.pci.rings import DescriptorRing
from r4l.pci.trace import Raw


def of_trace(device: Device, most: int = MOST_EVENTS) -> dict[str, Any]:
    """Return a recording from a device's trace alone, as data for JSON.

    A register has a value from its first access on, and a descriptor from the first transfer that contains it.

    Args:
        device: the device, whose trace is read.
        most: number of events, the last ones.
    """
    raws = device.trace.raw()
    early = len(raws) - min(most, len(raws))
    inference = Inference(device)
    for raw in raws[:early]:
        inference.step(raw)
    base = inference.state.copy()
    steps = [inference.step(raw) for raw in raws[early:]]
    return recording(device, base, steps, device.trace.dropped + early)


class Inference:
    """The state of a device as far as a trace tells it, event by event. An event costs what it changes, whatever the
    number of the device's registers.

    Args:
        device: the device.

    Attributes:
        state: state after the last event.
    """

    def __init__(self, device: Device) -> None:
        self._device, self._layout = device, device.layout
        self.state = State([None] * len(self._layout.resets), len(device.rings))
        # Registers that may differ from their reset values; None before the first reset, when all may.
        self._moved: set[int] | None = None
        layout = self._layout
        self._places = frozenset(layout.slots[name] for ring in device.rings for name in ring.registers)

    def step(self, raw: Raw) -> RecordedEvent:
        """Go on to the next event, and return it with the changes that it made."""
        step = RecordedEvent(raw)
        self._infer_values(step)
        if self._device.rings and (raw[2].startswith("dma") or not self._places.isdisjoint(step.values)):
            for slot, value in step.values.items():
                self.state.values[slot] = value
            self._infer_rings(step)
        self.state.apply(step)
        return step

    def _infer_values(self, step: RecordedEvent) -> None:
        kind, cell, size, value = step.raw[2], step.raw[3], step.raw[6], step.raw[7]
        if kind == "reset":
            resets, sticky = self._layout.resets, self._layout.sticky
            slots = range(len(resets)) if self._moved is None else sorted(self._moved)
            step.values = {slot: resets[slot] for slot in slots if slot not in sticky}
            self._moved = set()
        elif isinstance(value, int) and cell and cell.register.size == size and kind in ("read", "write"):
            register, slot = cell.register, cell.slot
            if kind == "read":
                step.values = {slot: value & ~register.cleared}
            else:
                step.values = {slot: register.written(self.state.values[slot] or 0, value) & ~register.hidden}
            if self._moved is not None:
                self._moved.add(slot)

    def _infer_rings(self, step: RecordedEvent) -> None:
        kind, address, value = step.raw[2], step.raw[5], step.raw[7]
        for number, ring in enumerate(self._device.rings):
            place = ring.place(self._layout, self.state.values)
            old = self.state.rings[number]
            change = RingChange(number, place if place != old[:2] else None, [])
            known = {} if change.place else old[2]
            first, count = place
            if kind.startswith("dma") and isinstance(value, bytes) and first <= address < first + count * ring.size:
                change.entries = list(_descriptors(ring, known, address - first, value, min(count, MOST_DESCRIPTORS)))
            if change.place or change.entries:
                step.rings.append(change)


def _descriptors(
    ring: DescriptorRing, known: dict[int, bytes], at: int, data: bytes, count: int
) -> list[tuple[int, bytes]]:
    """Return the descriptors that a transfer contains, complete as far as they are known.

    Args:
        at: offset of the transfer in the ring.
        data: its first bytes.
    """
    entries = []
    for index in range(at // ring.size, min(count, -(-(at + len(data)) // ring.size))):
        entry = bytearray(known.get(index, bytes(ring.size)))
        begin = max(at, index * ring.size)
        end = min(at + len(data), (index + 1) * ring.size)
        entry[begin - index * ring.size : end - index * ring.size] = data[begin - at : end - at]
        entries.append((index, bytes(entry)))
    return entries
