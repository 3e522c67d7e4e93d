# SPDX-License-Identifier: MIT
"""Recordings: a device's events with its state at each of them, as data.

A `Recorder` watches a device while it works, and looks at registers and rings at each event without an access of its
own. `of_trace` makes a recording from a trace alone: it then has the values that were read, written or transferred.

The form of the data is in docs/devices.md, "Recordings".
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, get_args

from r4l.pci.device import Device
from r4l.pci.layout import Layout
from r4l.pci.rings import LARGEST_DESCRIPTOR, DescriptorRing
from r4l.pci.trace import EventKind, Raw

FORMAT = "r4l-recording-1"
MOST_EVENTS = 10_000
"""Number of events that are kept; older ones are folded into the state before them."""
MOST_BYTES = 32 << 20
"""Bytes of changed descriptors that are kept: a guest that rewrites its rings all the time must not fill the memory."""
MOST_DESCRIPTORS = 4096
"""Number of descriptors of a ring that are recorded."""


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


@dataclass
class RingChange:
    """A change of a ring.

    Attributes:
        ring: number of the ring.
        place: address and number of descriptors if these changed; the descriptors before are then forgotten.
        entries: index and bytes of each changed descriptor.
    """

    ring: int
    place: tuple[int, int] | None
    entries: list[tuple[int, bytes]]


@dataclass
class RecordedEvent:
    """An event, and the changes that it made.

    Attributes:
        raw: the event as the trace has it.
        values: slot and new value of each changed register.
        rings: changes of rings.
        level: the new level of INTx; None if it is unchanged.
    """

    raw: Raw
    values: dict[int, int] = field(default_factory=dict)
    rings: list[RingChange] = field(default_factory=list)
    level: bool | None = None

    @property
    def weight(self) -> int:
        """Bytes of changed descriptors."""
        return sum(len(data) for change in self.rings for _, data in change.entries)


class State:
    """Registers and rings of a device at one moment.

    Attributes:
        values: values of the registers by slot; None where a recording does not know.
        rings: descriptors by index, for each ring, with its address and count.
        level: level of INTx.
    """

    def __init__(self, values: list[int | None], rings: int) -> None:
        self.values = values
        self.rings: list[tuple[int, int, dict[int, bytes]]] = [(0, 0, {}) for _ in range(rings)]
        self.level = False

    def apply(self, step: RecordedEvent) -> None:
        """Go on to the state after a step."""
        for slot, value in step.values.items():
            self.values[slot] = value
        for change in step.rings:
            if change.place is not None:
                self.rings[change.ring] = (*change.place, {})
            self.rings[change.ring][2].update(change.entries)
        if step.level is not None:
            self.level = step.level


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


# -- as data -----------------------------------------------------------------------------------------------------------


def recording(device: Device, base: State, steps: list[RecordedEvent], folded: int) -> dict[str, Any]:
    """Return a recording as data for JSON.

    Args:
        device: the device.
        base: state before the first step.
        steps: the events.
        folded: number of events before them.
    """
    return {
        "format": FORMAT,
        "device": {
            "model": type(device).__name__,
            "about": (type(device).__doc__ or "").strip().partition("\n")[0],
            "vendor": device.vendor_id,
            "id": device.device_id,
            "address": device.address,
            "interrupt_mask": device.interrupt_mask,
        },
        "registers": _registers(device.layout),
        "rings": [_ring(ring) for ring in device.rings],
        "folded": folded,
        "base": {
            "values": [None if value is None else hex(value) for value in base.values],
            "rings": [
                {"address": hex(address), "count": count, "entries": _entries(sorted(entries.items()))}
                for address, count, entries in base.rings
            ],
            "level": base.level,
        },
        "events": [event_data(step, device.trace.begun) for step in steps],
    }


def _registers(layout: Layout) -> list[dict[str, Any]]:
    found = []
    for name, register in layout.registers.items():
        fields = {key: [bits.high, bits.shift] for key, bits in register.fields.items()}
        one = {"name": name, "slot": layout.slots[name], "bar": register.bar, "offset": register.offset}
        one |= {"width": register.width, "access": str(register.access), "fields": fields}
        one |= {"count": register.count, "stride": register.stride} if register.stride else {}
        found.append(one)
    return sorted(found, key=lambda one: (one["bar"], one["offset"]))


def _ring(ring: DescriptorRing) -> dict[str, Any]:
    fields = {name: [bits.high, bits.shift] for name, bits in ring.bits.items()}
    one = {"name": ring.name, "head": ring.head, "tail": ring.tail, "size": ring.size, "fields": fields}
    return one | {"done": ring.done, "buffer": list(ring.buffer), "registers": list(ring.registers)}


def _entries(entries: list[tuple[int, bytes]]) -> list[list[Any]]:
    return [[index, data.hex()] for index, data in entries]


def event_data(step: RecordedEvent, begun: int) -> dict[str, Any]:
    """Return an event as data for JSON; keys without content are left out.

    Args:
        step: the event.
        begun: nanoseconds at which the trace began.
    """
    number, ns, kind, cell, bar, offset, size, value, text = step.raw
    one: dict[str, Any] = {"number": number, "time": (ns - begun) / 1e9, "kind": kind}
    if cell is not None:
        one |= {"register": cell.name, "slot": cell.slot}
    if bar >= 0:
        one["bar"] = bar
    if offset or bar >= 0:
        one["offset"] = hex(offset)
    if size:
        one["size"] = size
    if isinstance(value, bytes):
        one["data"] = value.hex()
    elif value or kind in ("read", "write", "config-read", "config-write", "interrupt"):
        one["value"] = hex(value)
    if text:
        one["text"] = text
    if step.values:
        one["values"] = [[slot, hex(value)] for slot, value in step.values.items()]
    if step.rings:
        one["rings"] = [
            {"ring": change.ring, "entries": _entries(change.entries)}
            | ({"address": hex(change.place[0]), "count": change.place[1]} if change.place else {})
            for change in step.rings
        ]
    if step.level is not None:
        one["level"] = step.level
    return one


# -- a file's contents ------------------------------------------------------------------------------------------------

HEX = re.compile(r"0x[0-9a-f]{1,16}")
BYTES = re.compile(r"(?:[0-9a-f]{2}){0,512}")
NAME = re.compile(r"[\w.\[\]() +-]{0,80}")
KINDS = frozenset(get_args(EventKind))


def check(data: object) -> str:
    """Return the first mistake in data that should be a recording; empty if there is none."""
    try:
        _check(data)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _check(data: Any) -> None:
    _need(data["format"] == FORMAT, f"its format is {str(data['format'])[:40]}")
    device, slots, rings = data["device"], 0, data["rings"]
    _need(all(isinstance(device[key], str) for key in ("model", "about", "address", "interrupt_mask")), "device")
    for register in data["registers"]:
        count = register.get("count", 1)
        _need(all(_natural(register[key]) for key in ("slot", "bar", "offset", "width")), "register")
        _need(_natural(count) and _natural(register.get("stride", 0)) and 1 <= count <= 1 << 16, "register")
        _need(all(isinstance(register[key], str) for key in ("name", "access")), "register")
        _check_fields(register["fields"], register["width"])
        slots += count
    for ring in rings:
        _need(all(isinstance(ring[key], str) for key in ("name", "head", "tail", "done")), "ring")
        _need(1 <= ring["size"] <= LARGEST_DESCRIPTOR and len(ring["buffer"]) <= 2, "ring")
        _check_fields(ring["fields"], 8 * ring["size"])
        _need({*ring["buffer"], *filter(None, [ring["done"]])} <= set(ring["fields"]), "ring")
        _need({ring["head"], ring["tail"]} <= {one["name"] for one in data["registers"]}, "ring")
    base = data["base"]
    _need(len(base["values"]) == slots and len(base["rings"]) == len(rings), "base")
    _need(all(value is None or HEX.fullmatch(value) for value in base["values"]), "base")
    _need(isinstance(base["level"], bool) and _natural(data["folded"]), "base")
    for ring, one in zip(rings, base["rings"], strict=True):
        _need(HEX.fullmatch(one["address"]) and _natural(one["count"]), "base")
        _check_entries(ring, one["entries"])
    for event in data["events"]:
        _check_event(event, slots, rings)


def _check_event(event: Any, slots: int, rings: Any) -> None:
    where = f"event {str(event['number'])[:20]}"
    _need(_natural(event["number"]) and isinstance(event["time"], int | float), where)
    _need(event["kind"] in KINDS, where)
    _need(all(_natural(event[key]) for key in ("size", "bar", "slot") if key in event), where)
    _need(event.get("slot", 0) < max(1, slots) and isinstance(event.get("level", True), bool), where)
    _need(all(HEX.fullmatch(event[key]) for key in ("offset", "value") if key in event), where)
    _need(all(isinstance(event[key], str) for key in ("text", "register") if key in event), where)
    _need(BYTES.fullmatch(event.get("data", "")), where)
    for slot, value in event.get("values", []):
        _need(_natural(slot) and slot < slots and HEX.fullmatch(value), where)
    for change in event.get("rings", []):
        _need(_natural(change["ring"]) and change["ring"] < len(rings), where)
        _check_entries(rings[change["ring"]], change["entries"])
        if "address" in change:
            _need(HEX.fullmatch(change["address"]) and _natural(change["count"]), where)


def _check_fields(fields: Any, width: int) -> None:
    for name, (high, low) in fields.items():
        _need(NAME.fullmatch(name) and _natural(high) and _natural(low) and low <= high < width, "fields")


def _check_entries(ring: Any, entries: Any) -> None:
    for index, data in entries:
        right = isinstance(data, str) and len(data) == 2 * ring["size"] and BYTES.fullmatch(data)
        _need(right and _natural(index) and index < MOST_DESCRIPTORS, "descriptor")


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _need(right: object, what: str) -> None:
    if not right:
        raise ValueError(what)
