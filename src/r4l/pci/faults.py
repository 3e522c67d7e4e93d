# SPDX-License-Identifier: MIT
"""Hardware that is broken on purpose: faults in force at a device, and their effects.

device.faults.add(Fault("lost-interrupt", nth=2))
device.faults.add(Fault.parse("flipped-bit@STATUS#3 bits=0x80"))
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from r4l.errors import UsageError
from r4l.pci.fault_kinds import FAULT_KINDS, Fault, FaultKind, Trigger
from r4l.pci.rings import BUFFER, DATA

if TYPE_CHECKING:
    from r4l.pci.device import Device

__all__ = ["CONFIG", "FAULT_KINDS", "ArmedFault", "Coming", "Fault", "FaultKind", "Faults", "Trigger"]


class Coming(NamedTuple):
    """A fault that occurs at an access, with those bits of the access that are its `bits` of the register."""

    fault: Fault
    bits: int


CONFIG = "config"
"""Place of all accesses to the configuration space."""
FEW = 8
"""Number of places that an error names."""
ARGUMENTS = ("bits", "seconds", "bytes")
"""Arguments of a `Fault` that only some kinds have."""


class ArmedFault:
    """A fault in force, with the number of events at its place and the number of occurrences."""

    def __init__(self, fault: Fault, trigger: Trigger) -> None:
        self.fault, self.trigger = fault, trigger
        self.seen = self.came = 0
        self._random = random.Random(fault.seed)

    def comes(self, event: str, places: Collection[str], able: Callable[[Fault], bool]) -> bool:
        """Count an event, and return True if the fault occurs at it.

        Args:
            event: kind of event.
            places: names of its place: `TABLE[2]`, `TABLE`, and the empty one that stands for any.
            able: returns False for a fault that would have no effect at this event: it may occur at a later one.
        """
        fault = self.fault
        if self.trigger != event and not (self.trigger == "access" and event in ("read", "write")):
            return False
        if fault.place not in places:
            return False
        self.seen += 1
        if fault.times and self.came >= fault.times:
            return False
        now = self._random.random() < fault.chance if fault.chance else self.seen >= fault.nth
        now = now and able(fault)
        self.came += now
        return now


class Faults:
    """The faults of one device.

    Attributes:
        came: number of occurrences of each fault, in the order in which they were added.
        armed: the faults in force with their counts; asked for at each access.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.armed: list[ArmedFault] = []
        # A write to memory that arrives after the next one.
        self._held: Callable[[], None] | None = None

    def add(self, *faults: Fault | str) -> None:
        """Put faults in force from now on.

        Args:
            faults: faults, or texts for `Fault.parse`.

        Raises:
            UsageError: the device has no such place, or there is no such kind.
        """
        for one in faults:
            fault = Fault.parse(one) if isinstance(one, str) else one
            trigger = self.require(fault)
            with self._device.held:
                self.armed.append(ArmedFault(fault, trigger))

    def require(self, fault: Fault) -> Trigger:
        """Return the event at which a fault comes at this device.

        Raises:
            UsageError: the device has no such place, or there is no such kind, or the kind has no such argument.
        """
        kind = FAULT_KINDS.get(fault.kind)
        if kind is None and fault.kind not in self._device.actions:
            known = [*FAULT_KINDS, *self._device.actions]
            raise UsageError(f"there is no fault {fault.kind!r}", f"there are {', '.join(known)}")
        trigger: Trigger = kind.trigger if kind else "access"
        given = [name for name in ARGUMENTS if getattr(fault, name) != getattr(Fault, name)]
        if wrong := [name for name in given if name not in (kind.needs if kind else ())]:
            raise UsageError(f"{fault.kind} has no {wrong[0]}", "FAULT_KINDS says what each kind has")
        places = self._places(trigger)
        if fault.place and fault.place not in places:
            near = get_close_matches(fault.place, places, FEW, 0.5) if len(places) > FEW else sorted(places)
            raise UsageError(
                f"{type(self._device).__name__} has no {fault.place} for {fault.kind}",
                (f"{'there are' if len(places) <= FEW else 'near it are'} {', '.join(near)}: " if near else "")
                + "a place is a register's name in the class, with [INDEX] in an array, config.NAME for one of the "
                "configuration space, an interrupt's vector, or for DMA a ring's name, RING.buffer or `data`, if the "
                "class has `rings`",
            )
        if kind and "bits" in kind.needs:
            self._require_bits(fault)
        return trigger

    def _require_bits(self, fault: Fault) -> None:
        """Refuse bits that the registers at a fault's place do not have: the fault would have no effect."""
        register = self._device.layout.registers.get(fault.place.partition("[")[0])
        own = self._device.config.registers.get(fault.place.removeprefix(f"{CONFIG}."))
        width = register.width if register else 8 * own.size if own else 64
        if not 0 < fault.bits < 1 << width:
            raise UsageError(
                f"{fault} has the bits {fault.bits:#x}, and {fault.place or 'an access'} has {width}",
                f"give a mask from 0x1 to {(1 << width) - 1:#x}",
            )

    def _places(self, trigger: Trigger) -> set[str]:
        """Return the places that a device has for a trigger."""
        layout = self._device.layout
        if trigger in ("dma-read", "dma-write"):
            rings = self._device.rings
            buffers = {ring.name + BUFFER for ring in rings if ring.buffer}
            return {ring.name for ring in rings} | buffers | ({DATA} if rings else set())
        if trigger == "interrupt":
            return {str(vector) for vector in range(max(self._device.interrupts.counts.values()))}
        config = {CONFIG, *(f"{CONFIG}.{name}" for name in self._device.config.registers)}
        return {*layout.registers, *(cell.name for cells in layout.exact for cell in cells.values()), *config}

    def clear(self) -> None:
        """Remove all faults. A write to memory that would arrive after the next one arrives now; others that are late
        come at their time."""
        with self._device.held:
            self.armed.clear()
            self._release()

    def forget(self) -> None:
        """Forget the write to memory that would arrive after the next one, since the device was reset or is gone."""
        self._held = None

    def __len__(self) -> int:
        return len(self.armed)

    def __iter__(self) -> Iterator[Fault]:
        return (armed.fault for armed in list(self.armed))

    @property
    def came(self) -> dict[str, int]:
        """Number of occurrences of each fault, by its text."""
        found: dict[str, int] = {}
        for armed in list(self.armed):
            found[str(armed.fault)] = found.get(str(armed.fault), 0) + armed.came
        return found

    # -- for the device, under its lock ---------------------------------------------------------------------------

    def _coming(
        self, event: str, places: Collection[str], able: Callable[[Fault], bool] = lambda _fault: True
    ) -> list[ArmedFault]:
        found = [armed for armed in list(self.armed) if armed.comes(event, places, able)]
        for armed in found:
            self._device.trace.add("fault", text=str(armed.fault))
        return found

    def before(self, event: Literal["read", "write"], bar: int, offset: int, size: int) -> list[Coming]:
        """Return the faults that occur at an access to a BAR, after the effects of those that come just before it."""
        begins = {"": offset}
        for cell in self._device.layout.touched(bar, offset, size):
            for name in (cell.name, cell.register.name):
                begins.setdefault(name, cell.offset)
        return self._begun(event, begins, offset, size)

    def before_config(self, event: Literal["read", "write"], offset: int, size: int) -> list[Coming]:
        """Return the faults that occur at an access to the configuration space, as `before`."""
        own = {f"{CONFIG}.{one.name}": one.offset for one in self._device.config.touched(offset, size)}
        return self._begun(event, {CONFIG: offset, **own}, offset, size)

    def _begun(
        self, event: Literal["read", "write"], begins: Mapping[str, int], offset: int, size: int
    ) -> list[Coming]:
        """Do what comes before an access.

        Args:
            event: kind of event.
            begins: names of the access's places, each with its first byte.
            offset: first byte of the access.
            size: bytes of the access.
        """

        def bits(fault: Fault) -> int:
            by = 8 * (begins[fault.place] - offset)
            return (fault.bits << by if by > 0 else fault.bits >> -by) & (1 << 8 * size) - 1

        def able(fault: Fault) -> bool:
            if fault.kind == "spurious-interrupt":
                return self._device._shows_pulse(0)
            kind = FAULT_KINDS.get(fault.kind)
            return not kind or "bits" not in kind.needs or bool(bits(fault))

        found = [armed.fault for armed in self._coming(event, begins, able)]
        for fault in found:
            if fault.kind == "unplug":
                self._device.pull()
            elif fault.kind == "reset":
                self._device._guarded(self._device.reset, default=None)
            elif fault.kind == "spurious-interrupt":
                self._device._pulse(0)
            elif fault.kind in self._device.actions:
                self._device._guarded(getattr(self._device, self._device.actions[fault.kind]), default=None)
        return [Coming(fault, bits(fault)) for fault in found]

    @staticmethod
    def read(found: list[Coming], value: int, size: int) -> int:
        """Return the value that a read gives with some faults."""
        ones = (1 << 8 * size) - 1
        for fault, bits in found:
            if fault.kind == "all-ones":
                value = ones
            elif fault.kind == "flipped-bit":
                value ^= bits
            elif fault.kind == "stuck-at-one":
                value |= bits
            elif fault.kind == "stuck-at-zero":
                value &= ~bits
        return value & ones

    def write(self, found: list[Coming], value: int, size: int, act: Callable[[int], None]) -> None:
        """Do a write with the faults applied: not at all, later, or with another value."""
        late: float | None = None
        for fault, bits in found:
            if fault.kind == "lost-write":
                return
            if fault.kind == "flipped-write":
                value ^= bits
            elif fault.kind == "late-write":
                late = (late or 0.0) + fault.seconds
        value &= (1 << 8 * size) - 1
        if late is not None:
            self._device.after(late, lambda: act(value))
        else:
            act(value)

    def interrupt(self, number: int, vector: int, act: Callable[[int], None]) -> None:
        """Raise an interrupt with the faults applied.

        Args:
            number: number of the interrupt (`Device._interrupt_number`).
            vector: vector as the model has it.
            act: raises the interrupt of a vector.
        """
        late: float | None = None
        for armed in self._coming("interrupt", ("", str(number))):
            fault = armed.fault
            if fault.kind == "lost-interrupt":
                return
            if fault.kind == "late-interrupt":
                late = (late or 0.0) + fault.seconds
            elif fault.kind == "doubled-interrupt":
                self._device.after(fault.seconds, partial(self._second, armed, vector))
        if late is not None:
            # Not `act`: by then, the model may have lowered INTx, and a line that stays high would be without a cause.
            self._device.after(late, partial(self._device._pulse, vector))
        else:
            act(vector)

    def _second(self, armed: ArmedFault, vector: int) -> None:
        """Repeat an interrupt, unless the guest has not taken the first yet and would not see two."""
        if not self._device._shows_pulse(vector):
            armed.came -= 1
            self._device.trace.add("note", text=f"{armed.fault}: nothing came, as the first interrupt is not over")
        else:
            self._device._pulse(vector)

    @staticmethod
    def _of_memory(purpose: str) -> set[str]:
        """Return the names of a transfer's place. Buffers of rings are data, too."""
        return {"", purpose, DATA} if purpose.endswith(BUFFER) else {"", purpose}

    def dma_read(self, purpose: str, data: bytes) -> bytes:
        """Return the bytes that the device reads of the guest's memory, with the faults applied.

        Args:
            purpose: purpose of the transfer (`r4l.pci.purposes`).
            data: the bytes.
        """
        coming = self._coming("dma-read", self._of_memory(purpose))
        return bytes(byte ^ 0xFF for byte in data) if coming else data

    def dma_write(self, purpose: str, address: int, data: bytes, act: Callable[[int, bytes], None]) -> None:
        """Write to the guest's memory with the faults applied.

        Args:
            purpose: purpose of the transfer (`r4l.pci.purposes`).
            address: address in the guest.
            data: bytes to write.
            act: writes bytes to an address.
        """
        # A model may use its buffer again before a late write.
        data = bytes(data)
        late: float | None = None
        swapped = False
        for armed in self._coming("dma-write", self._of_memory(purpose), self._can_swap):
            fault = armed.fault
            if fault.kind == "lost-dma":
                data = b""
            elif fault.kind == "short-dma":
                data = data[: len(data) // 2]
            elif fault.kind == "misplaced-dma":
                address += fault.bytes
            elif fault.kind == "late-dma":
                late = (late or 0.0) + fault.seconds
            elif fault.kind == "swapped-dma":
                swapped = True
        if swapped:
            self._held = partial(act, address, data)
        elif late is not None:
            self._device.after(late, lambda: self._arrive(address, data, act))
        else:
            self._arrive(address, data, act)

    def _can_swap(self, fault: Fault) -> bool:
        """Return False for a second write that would wait for the next one: a chain of them would never arrive."""
        return fault.kind != "swapped-dma" or self._held is None

    def _arrive(self, address: int, data: bytes, act: Callable[[int, bytes], None]) -> None:
        """Write to the guest's memory, and then what waited for this write."""
        try:
            if data:
                act(address, data)
        finally:
            self._release()

    def _release(self) -> None:
        """Do the write to memory that waits for the next one. If it is not possible any more, the method that writes
        now has no part in that."""
        held, self._held = self._held, None
        if held:
            self._device._guarded(held, default=None)
