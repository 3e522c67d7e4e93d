# SPDX-License-Identifier: MIT
"""The cells of a sweep: each event of each phase with each fault that can come there."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from r4l.errors import UsageError
from r4l.pci import FAULT_KINDS, Fault

NO_MEMORY = "no-memory"
"""Kind of fault that is not the device's: an allocation fails (`r4l.sweep.memory`)."""
ALLOCATION = "allocation"
"""The event at which it comes."""
WITHOUT_END = ("stuck-at-one", "stuck-at-zero")
"""Kinds that stay from their first occurrence on."""


@dataclass(frozen=True)
class EventPlace:
    """A place in a phase at which events happened without a fault.

    Attributes:
        phase: name of the phase.
        event: `read`, `write`, `interrupt`, `dma-read`, `dma-write` or `allocation`.
        name: name of the register (of a whole array), the interrupt's vector, or the purpose of the DMA
            (`r4l.pci.purposes`), which is empty for a model without rings; empty for allocations.
        count: number of events.
        bits: width of the register.
        parts: first bit of the register and number of bits of each event, as faults have them; empty if each event has
            all bits.
    """

    phase: str
    event: str
    name: str
    count: int
    bits: int = 32
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SweepCell:
    """One fault at one event of one phase.

    Attributes:
        phase: phase in which the fault is armed; it counts the events from the phase's begin.
        fault: the fault.
    """

    phase: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.phase}:{self.fault}"

    @classmethod
    def parse(cls, text: str) -> SweepCell:
        """Return the cell for the text that `str` gives: `PHASE:KIND@PLACE#NTH …`.

        Raises:
            UsageError: the text is not a cell.
        """
        phase, colon, fault = text.partition(":")
        if not colon or not phase.isidentifier():
            raise UsageError(f"{text!r} is not a cell", "write PHASE:KIND@PLACE#NTH, such as probe:lost-write@CTRL#3")
        return cls(phase, Fault.parse(fault))

    @property
    def place(self) -> str:
        """The row of the map in which the cell stands: the register, `interrupt VECTOR`, `DMA read PURPOSE`,
        `DMA write PURPOSE` or `memory`."""
        return row(trigger(self.fault.kind), self.fault.place)


def trigger(kind: str) -> str:
    """Return the event at which a kind of fault comes; `access` is a read or a write."""
    if kind == NO_MEMORY:
        return ALLOCATION
    return FAULT_KINDS[kind].trigger if kind in FAULT_KINDS else "access"


def row(event: str, name: str) -> str:
    """Return the title of a place: the register's name, or what the event is."""
    if event == "interrupt":
        return f"interrupt {name}"
    if event == ALLOCATION:
        return "memory"
    return f"{event.replace('dma-', 'DMA ')} {name}".strip() if event.startswith("dma") else name


def kinds(actions: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return the kinds of faults of a sweep.

    Args:
        actions: the model's own faults.
        wanted: those that the user named; empty for all.

    Raises:
        UsageError: there is no such kind.
    """
    known = [*FAULT_KINDS, NO_MEMORY, *actions]
    if unknown := [kind for kind in wanted if kind not in known]:
        raise UsageError(f"there is no fault {unknown[0]!r}", f"there are {', '.join(known)}")
    return [kind for kind in known if kind in wanted or not wanted]


def cells(places: Sequence[EventPlace], wanted: Sequence[str], *, seed: int = 0) -> list[SweepCell]:
    """Return all cells, in an order of which each beginning is a fair sample.

    The first cells have each fault at each place of each phase once, at its first event, in random order; the next ones
    have each once more, at another event, and so on.

    Args:
        places: events of the run without a fault.
        wanted: kinds of faults.
        seed: for the order, and for the bits of those kinds that need some.
    """
    groups: list[list[SweepCell]] = []
    for place in _with_accesses(places):
        for kind in wanted:
            if trigger(kind) == place.event:
                groups.append([_cell(place, kind, nth, seed) for nth in range(1, place.count + 1)])
    chance = random.Random(seed)
    chance.shuffle(groups)
    for group in groups:
        later = group[1:]
        chance.shuffle(later)
        group[1:] = later
    longest = max(map(len, groups), default=0)
    return [group[nth] for nth in range(longest) for group in groups if nth < len(group)]


def _with_accesses(places: Sequence[EventPlace]) -> list[EventPlace]:
    """Return the places, and for each register the sum of its reads and writes as `access`."""
    sums: dict[tuple[str, str], EventPlace] = {}
    for place in places:
        if place.event in ("read", "write"):
            before = sums.get((place.phase, place.name))
            count = place.count + (before.count if before else 0)
            sums[place.phase, place.name] = EventPlace(place.phase, "access", place.name, count, place.bits)
    return [*places, *sums.values()]


def _cell(place: EventPlace, kind: str, nth: int, seed: int) -> SweepCell:
    known = FAULT_KINDS.get(kind)
    words: dict[str, int] = {}
    if known and known.trigger in ("read", "write") and "bits" in known.needs:
        # Of the place, so that the same cell has the same bit in each sweep with that seed.
        chance = random.Random(f"{seed} {place.phase} {place.event} {place.name} {nth} {kind}")
        first, width = place.parts[nth - 1] if place.parts else (0, place.bits)
        words["bits"] = 1 << first + chance.randrange(width)
    if kind in WITHOUT_END:
        words["times"] = 0
    return SweepCell(place.phase, Fault(kind, place.name, nth, **words))


def common(first: Iterable[EventPlace], second: Iterable[EventPlace]) -> list[EventPlace]:
    """Return the places of two lives without a fault, each with the smaller number of events."""
    other = {(place.phase, place.event, place.name): place.count for place in second}
    return [
        replace(place, count=min(place.count, found))
        for place in first
        if (found := other.get((place.phase, place.event, place.name), 0))
    ]
