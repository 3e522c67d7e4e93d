# SPDX-License-Identifier: MIT
"""The contents of a file that should be a recording: looked over before anything relies on them."""

from __future__ import annotations

import re
from typing import Any, get_args

from r4l.pci.arrays import MOST_REGISTERS
from r4l.pci.recording.data import FORMAT
from r4l.pci.recording.state import MOST_DESCRIPTORS
from r4l.pci.rings import LARGEST_DESCRIPTOR
from r4l.pci.trace import EventKind

HEX = re.compile(r"0x[0-9a-f]{1,16}")
BYTES = re.compile(r"(?:[0-9a-f]{2}){0,512}")
NAME = re.compile(r"[\w.\[\]() +-]{0,80}")
KINDS = frozenset(get_args(EventKind))
ACCESSES = ("read", "write", "config-read", "config-write")
"""Kinds of events that have a value."""
WIDEST = 64
"""Bits of a register."""
EXACT = (1 << 53) - 1
"""Largest integer that browsers have exactly (ECMAScript, Number.MAX_SAFE_INTEGER)."""


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
    _need(all(isinstance(data[key], list) for key in ("registers", "rings", "events")), "lists")
    names = {one["name"] for one in data["registers"]}
    _need(device["interrupt_mask"] in {"", *names}, "device")
    for register in sorted(data["registers"], key=lambda one: one["slot"]):
        count = register.get("count", 1)
        _need(all(_natural(register[key]) for key in ("slot", "bar", "offset", "width")), "register")
        _need(_natural(count) and _natural(register.get("stride", 0)) and 1 <= count <= MOST_REGISTERS, "register")
        _need(register["slot"] == slots and register["width"] <= WIDEST, "register")
        _need(all(isinstance(register[key], str) and register[key] for key in ("name", "access")), "register")
        _check_fields(register["fields"], register["width"])
        slots += count
    for ring in rings:
        _need(all(isinstance(ring[key], str) for key in ("name", "head", "tail", "done")) and ring["name"], "ring")
        _need(isinstance(ring["buffer"], list) and _natural(ring["size"]), "ring")
        _need(1 <= ring["size"] <= LARGEST_DESCRIPTOR and len(ring["buffer"]) <= 2, "ring")
        _check_fields(ring["fields"], 8 * ring["size"])
        _need({*ring["buffer"], *filter(None, [ring["done"]])} <= set(ring["fields"]), "ring")
        _need({ring["head"], ring["tail"]} <= names, "ring")
    base = data["base"]
    _need(isinstance(base["values"], list) and isinstance(base["rings"], list), "base")
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
    _need(_natural(event["number"]) and _is_time(event["time"]), where)
    _need(event["kind"] in KINDS, where)
    _need({"size", "value"} <= set(event) or event["kind"] not in ACCESSES, where)
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
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= EXACT


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= EXACT


def _need(right: object, what: str) -> None:
    if not right:
        raise ValueError(what)
