# SPDX-License-Identifier: MIT
"""The state of a device, and the events with the changes that they make of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from r4l.pci.trace import Raw

MOST_EVENTS = 10_000
"""Number of events that are kept; older ones are folded into the state before them."""
MOST_DESCRIPTORS = 4096
"""Number of descriptors of a ring that are recorded."""


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

    def copy(self) -> State:
        """Return the state as it is now."""
        other = State(list(self.values), 0)
        other.rings = [(address, count, dict(entries)) for address, count, entries in self.rings]
        other.level = self.level
        return other

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
