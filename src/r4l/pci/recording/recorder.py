# SPDX-License-Identifier: MIT
"""A recorder: an observer of a device that looks at its registers and rings at each event."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from r4l.pci.device import Device
from r4l.pci.recording.data import event_data, recording
from r4l.pci.recording.state import MOST_DESCRIPTORS, MOST_EVENTS, RecordedEvent, RingChange, State
from r4l.pci.trace import Raw

MOST_BYTES = 32 << 20
"""Bytes of changed descriptors that are kept: a guest that rewrites its rings all the time must not fill the memory."""


@dataclass
class RingState:
    """A ring as the guest's memory has it.

    Attributes:
        address: the guest's address.
        count: number of descriptors.
        data: their bytes; fewer if the memory is not mapped, or of more than `MOST_DESCRIPTORS`.
    """

    address: int = 0
    count: int = 0
    data: bytes = b""


class Recorder:
    """Observer of a device. From its making on it records; `close` ends that.

    Args:
        device: the device.
        most: number of events that are kept.
        most_bytes: bytes of changed descriptors that are kept.

    Attributes:
        folded: number of the oldest events that were folded into the first state.
    """

    def __init__(self, device: Device, most: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self.device = device
        self.folded = 0
        self._most, self._most_bytes = most, most_bytes
        self._steps: deque[RecordedEvent] = deque()
        self._weight = 0
        self._sealed = True
        self._values = list(device._values)
        self._rings = [RingState() for _ in device.rings]
        self._level = False
        self._base = State(list(self._values), len(device.rings))
        with device.held:
            self._pending = RecordedEvent((-1, device.trace.begun, "note", None, -1, 0, 0, 0, ""))
            self._look(self._pending, self._pending)
            self._base.apply(self._pending)
            device.trace.observer = self._observe

    def close(self) -> None:
        """Stop recording."""
        with self.device.held:
            self._observe(None)
            self.device.trace.observer = None

    # -- called under the device's lock ---------------------------------------------------------------------------

    def _observe(self, raw: Raw | None) -> None:
        last = self._steps[-1] if self._steps and not self._sealed else None
        if raw is None:
            if last:
                before = last.weight
                self._look(last, last)
                self._weight += last.weight - before
            return
        # A write is recorded before its effects, and they were seen to the end before the next one.
        if raw[2] in ("write", "config-write") and last:
            self._look_at_registers(last)
        step = RecordedEvent(raw)
        self._look(step, last)
        self._steps.append(step)
        self._weight += step.weight
        self._sealed = False
        while len(self._steps) > self._most or (self._weight > self._most_bytes and len(self._steps) > 1):
            oldest = self._steps.popleft()
            self._base.apply(oldest)
            self._weight -= oldest.weight
            self.folded += 1

    def _look(self, step: RecordedEvent, last: RecordedEvent | None) -> None:
        """Record what has changed: in a step, and the written register's own value in the last step."""
        if last and last is not step and last.raw[2] == "write" and (cell := last.raw[3]):
            value = self.device._values[cell.slot]
            if value != self._values[cell.slot]:
                self._values[cell.slot] = last.values[cell.slot] = value
        self._look_at_registers(step)
        self._look_at_rings(step)

    def _look_at_registers(self, step: RecordedEvent) -> None:
        values = self.device._values
        if values != self._values:
            for slot, (old, new) in enumerate(zip(self._values, values, strict=True)):
                if old != new:
                    step.values[slot] = new
            self._values = list(values)
        level = self.device.interrupts.level
        if level != self._level:
            self._level = step.level = level

    def _look_at_rings(self, step: RecordedEvent) -> None:
        device = self.device
        for number, (ring, state) in enumerate(zip(device.rings, self._rings, strict=True)):
            place = ring.place(device.layout, self._values)
            address, count = place
            data = device.dma.peek(address, min(count, MOST_DESCRIPTORS) * ring.size) if count else b""
            moved = place != (state.address, state.count)
            if not moved and data == state.data:
                continue
            old = b"" if moved else state.data
            changed = [
                (at // ring.size, data[at : at + ring.size])
                for at in range(0, len(data), ring.size)
                if data[at : at + ring.size] != old[at : at + ring.size]
            ]
            step.rings.append(RingChange(number, place if moved else None, changed))
            state.address, state.count, state.data = address, count, data

    # -- for readers ------------------------------------------------------------------------------------------------

    def as_data(self) -> dict[str, Any]:
        """Return the recording up to now as data for JSON."""
        with self.device.held:
            self._finish()
            return recording(self.device, self._base, list(self._steps), self.folded)

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the kept events from a number on, as data for JSON."""
        with self.device.held:
            self._finish()
            # From the end: a reader that follows lacks a few of thousands, and the guest waits meanwhile.
            steps = list(takewhile(lambda step: step.raw[0] >= number, reversed(self._steps)))
        return [event_data(step, self.device.trace.begun) for step in reversed(steps)]

    def _finish(self) -> None:
        """Complete the last event: a reader gets it now, and later changes belong to the next one."""
        self._observe(None)
        self._sealed = True
