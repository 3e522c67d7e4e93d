# SPDX-License-Identifier: MIT
"""The data of a recording, for JSON."""

from __future__ import annotations

from typing import Any

from r4l.pci.device import Device
from r4l.pci.layout import Layout
from r4l.pci.recording.state import RecordedEvent, State
from r4l.pci.rings import DescriptorRing

FORMAT = "r4l-recording-1"


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
    if offset or bar >= 0 or kind.startswith("config-"):
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
