# SPDX-License-Identifier: MIT
"""A recording from a trace alone: the values that were read, written or transferred."""

from __future__ import annotations

from collections import deque
from typing import Any

from r4l.pci.device import Device
from r4l.pci.layout import Layout
from r4l.pci.recording.data import recording
from r4l.pci.recording.state import MOST_DESCRIPTORS, MOST_EVENTS, RecordedEvent, RingChange, State
from r4l.pci.rings import DescriptorRing


def of_trace(device: Device, most: int = MOST_EVENTS) -> dict[str, Any]:
    """Return a recording from a device's trace alone, as data for JSON.

    A register has a value from its first access on, and a descriptor from the first transfer that contains it.

    Args:
        device: the device, whose trace is read.
        most: number of events, the last ones.
    """
    layout = device.layout
    state = State([None] * len(layout.resets), len(device.rings))
    base = State([None] * len(layout.resets), len(device.rings))
    steps: deque[RecordedEvent] = deque()
    folded = device.trace.dropped
    for raw in device.trace.raw():
        step = RecordedEvent(raw)
        _infer_values(layout, state, step)
        state.apply(step)
        _infer_rings(device, state, step)
        for change in step.rings:
            state.apply(RecordedEvent(raw, rings=[change]))
        steps.append(step)
        if len(steps) > most:
            base.apply(steps.popleft())
            folded += 1
    return recording(device, base, list(steps), folded)


def _infer_values(layout: Layout, state: State, step: RecordedEvent) -> None:
    kind, cell, size, value = step.raw[2], step.raw[3], step.raw[6], step.raw[7]
    if kind == "reset":
        step.values = {slot: reset for slot, reset in enumerate(layout.resets) if slot not in layout.sticky}
    elif isinstance(value, int) and cell and cell.register.size == size:
        register = cell.register
        if kind == "read":
            step.values = {cell.slot: value & ~register.cleared}
        elif kind == "write":
            step.values = {cell.slot: register.written(state.values[cell.slot] or 0, value) & ~register.hidden}


def _infer_rings(device: Device, state: State, step: RecordedEvent) -> None:
    kind, address, value = step.raw[2], step.raw[5], step.raw[7]
    values = [value or 0 for value in state.values]
    for number, ring in enumerate(device.rings):
        place = ring.place(device.layout, values)
        old = state.rings[number]
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
