# SPDX-License-Identifier: MIT
"""Events at a device, access by access, and conditions to search for them.

device.trace.expect(write(Edu.FACTORIAL, 5))
assert read(Edu.STATUS.computing) in device.trace
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from r4l.errors import VerdictError
from r4l.pci.arrays import RegisterElement
from r4l.pci.layout import Cell
from r4l.pci.registers import Register, RegisterField, Word

KEPT = 200_000
"""Number of entries that are kept; older ones are dropped and counted."""
SHOWN = 40
"""Number of entries in a failure's report."""

INTX = "INTX"
"""Text of an interrupt that has no vector."""

EventKind = Literal[
    "read",
    "write",
    "config-read",
    "config-write",
    "dma-read",
    "dma-write",
    "frame-sent",
    "frame-received",
    "interrupt",
    "reset",
    "plugged",
    "unplugged",
    "fault",
    "refused",
    "note",
]
GUEST = ("read", "write", "config-read", "config-write", "reset")
"""Kinds caused by the guest; the others are caused by the device or the test."""
RegisterLike = Register | RegisterElement | RegisterField | int
"""Subjects of a condition: a register, one of an array, a field, or an offset."""
Raw = tuple[int, int, EventKind, Cell | None, int, int, int, int | bytes, str]
"""Number, ns, kind, cell, BAR, offset or address, size, value, text."""


@dataclass(frozen=True)
class TraceEvent:
    """One event at the device.

    Attributes:
        number: number of the event from 0, unique.
        time: seconds since the device was made, by the host's clock.
        kind: kind of event.
        register: the register's name, `RAL[3]` in an array; empty if there is none at that place.
        fields: values of the register's fields, by name.
        value: value read, written or signalled (a vector); the first 8 bytes of a DMA transfer or a frame.
        bar: number of the BAR; None if the event is not about one.
        offset: offset in the BAR or the configuration space; the guest's address of a DMA transfer.
        size: bytes.
        data: first bytes of a DMA transfer or a frame.
        text: details, for a reader.
    """

    number: int
    time: float
    kind: EventKind
    register: str
    fields: dict[str, int] = field(compare=False)
    value: int
    bar: int | None
    offset: int
    size: int
    data: bytes
    text: str
    cell: Cell | None = field(compare=False, repr=False)

    @property
    def who(self) -> Literal["guest", "device"]:
        """Cause of the event: the guest or the device."""
        return "guest" if self.kind in GUEST else "device"

    def __str__(self) -> str:
        words = [f"{self.number:>6}", f"{self.time:10.6f}", f"{self.kind:<12}"]
        if self.kind in ("read", "write"):
            words.append(f"{self.register or f'BAR {self.bar} + {self.offset:#x}, no register'}")
            said = self.cell.register.text(self.value) if self.cell and self.cell.register.size == self.size else ""
            words.append(("→ " if self.kind == "read" else "← ") + (said or f"{self.value:#x} ({self.size} B)"))
        elif self.kind.startswith("config"):
            words.append(f"{self.offset:#04x} {self.value:#0{2 + 2 * self.size}x}")
        elif self.kind.startswith("frame"):
            words.append(f"{self.size} B {self.data[:16].hex(' ')} …")
        elif self.kind.startswith("dma"):
            words.append(f"{self.offset:#x} {self.size} B {self.data[:16].hex(' ')}{' …' if self.size > 16 else ''}")
        elif self.kind == "interrupt" and self.text != INTX:
            return " ".join([*words, f"{self.text} vector {self.value:d}"])
        return " ".join([*words, *([self.text] if self.text else [])])


def encodable(text: str) -> str:
    """Return a text that UTF-8 has, for files and pages: lone surrogates, as of os.fsdecode, are escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class Condition:
    """A condition for events; made by `read`, `write` and others.

    Args:
        text: the condition, for a reader.
        holds: returns True for an event that meets it.
    """

    def __init__(self, text: str, holds: Callable[[TraceEvent], bool]) -> None:
        self.text, self.holds = text, holds

    def __repr__(self) -> str:
        return self.text


def read(what: RegisterLike, /, *value: int | None, **fields: int) -> Condition:
    """Return a condition: a read of a register or an offset by the guest.

    Args:
        what: a register of the class, `Edu.STATUS`; one of an array, `RAL[3]`; a field, which then was not 0; or an
            offset in any BAR.
        value: value that the guest got, by position or, if the register has no field of that name, as `value=`.
        fields: values of fields that the guest got.
    """
    return _access("read", what, value, fields)


def write(what: RegisterLike, /, *value: int | None, **fields: int) -> Condition:
    """Return a condition: a write to a register or an offset by the guest.

    Arguments as for `read`, with the written values.
    """
    return _access("write", what, value, fields)


def config_write(offset: int, value: int | None = None) -> Condition:
    """Return a condition: a write to the configuration space that includes the byte at an offset."""
    wanted = "" if value is None else f", {value:#x}"
    return Condition(
        f"config_write({offset:#x}{wanted})",
        lambda one: (
            one.kind == "config-write" and one.offset <= offset < one.offset + one.size and value in (None, one.value)
        ),
    )


def dma_read(address: int | None = None) -> Condition:
    """Return a condition: a read of the guest's memory by the device that begins at an address, or any."""
    return Condition(
        f"dma_read({address if address is None else hex(address)})",
        lambda one: one.kind == "dma-read" and address in (None, one.offset),
    )


def dma_write(address: int | None = None) -> Condition:
    """Return a condition: a write to the guest's memory by the device that begins at an address, or any."""
    return Condition(
        f"dma_write({address if address is None else hex(address)})",
        lambda one: one.kind == "dma-write" and address in (None, one.offset),
    )


def interrupt(vector: int | None = None) -> Condition:
    """Return a condition: INTx going high, or a vector's message; `text` tells if the guest does not see it yet."""
    return Condition(
        f"interrupt({'' if vector is None else vector})",
        lambda one: one.kind == "interrupt" and vector in (None, one.value),
    )


def happened(kind: EventKind) -> Condition:
    """Return a condition: any event of a kind, such as "reset", "plugged", "fault" or "refused"."""
    return Condition(f"happened({kind!r})", lambda one: one.kind == kind)


def _access(kind: EventKind, what: RegisterLike, values: tuple[int | None, ...], fields: dict[str, int]) -> Condition:
    index = None
    if len(values) > 1:
        raise TypeError(f"one value is enough: {kind}({what!r}, {values[0]})")
    of = what.register if isinstance(what, RegisterField | RegisterElement) else what
    if not values and "value" in fields and not (isinstance(of, Register) and "value" in of._declared.fields):
        values = (fields.pop("value"),)
    value = values[0] if values else None
    words = [*([] if value is None else [f"{value:#x}"]), *(f"{name}={number:#x}" for name, number in fields.items())]
    if isinstance(what, RegisterField):
        register, wanted = what.register, [what.name]
        text = f"{register.name}.{what.name}"
    elif isinstance(what, RegisterElement):
        register, index, wanted = what.register, what.index, []
        text = f"{register.name}[{index}]"
    elif isinstance(what, Register):
        register, wanted = what._declared, []
        text = register.name
    elif isinstance(what, int) and not isinstance(what, Word):
        if fields:
            raise TypeError("an offset has no fields: name the register")
        return Condition(
            f"{kind}({', '.join([hex(what), *words])})",
            lambda one: one.kind == kind and one.offset == what and value in (None, one.value),
        )
    else:
        raise TypeError(f"{what!r} is not a register; use the class, as in `{kind}(Edu.STATUS, irq=1)`")

    # Raises for an unknown field, which no event would ever have.
    register.changed(0, fields)

    def holds(one: TraceEvent) -> bool:
        if one.kind != kind or one.cell is None or one.cell.register.name != register.name:
            return False
        if index not in (None, one.cell.index):
            return False
        # An access to some bytes of the register has no fields.
        if any(not one.fields.get(name) for name in wanted):
            return False
        return value in (None, one.value) and all(one.fields.get(name) == number for name, number in fields.items())

    return Condition(f"{kind}({', '.join([text, *words])})", holds)


class Missing(VerdictError):
    """An event that a test expected at the device did not happen."""

    category = "trace"
    late = True


class Trace:
    """Events at a device, in order: a sequence of `TraceEvent`.

    `expect` waits for an event and remembers its place; the next `expect` searches after it, so a series of them checks
    an order. All other methods search every kept entry.

    Attributes:
        dropped: number of the oldest entries that were dropped.
        config: True to keep accesses to the configuration space; the kernel makes hundreds.
        observer: called under the device's lock with each event that is recorded, and with None after the effects of an
            access or another cause.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._begun = time.monotonic_ns()
        self._entries: deque[Raw] = deque(maxlen=kept)
        self._next = 0
        self._cursor = 0
        self._news = threading.Condition()
        self._waiting = 0
        self.config = True
        self.observer: Callable[[Raw | None], None] | None = None

    # -- for the device -----------------------------------------------------------------------------------------

    def add(
        self,
        kind: EventKind,
        cell: Cell | None = None,
        bar: int = -1,
        offset: int = 0,
        size: int = 0,
        value: int | bytes = 0,
        text: str = "",
    ) -> None:
        """Record an event. Called under the device's lock, a hundred thousand times a second.

        A text of the model's, or of an exception, is given as `encodable` returns it.
        """
        self._entries.append((self._next, time.monotonic_ns(), kind, cell, bar, offset, size, value, text))
        self._next += 1
        if self.observer is not None:
            self.observer(self._entries[-1])
        if self._waiting:
            with self._news:
                self._news.notify_all()

    def settle(self) -> None:
        """Tell the observer that the effects of the last events are complete."""
        if self.observer is not None:
            self.observer(None)

    # -- for tests ----------------------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """Number of the oldest entries that were dropped."""
        return self._next - len(self._entries)

    @property
    def end(self) -> int:
        """Number that the next event will have."""
        return self._next

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TraceEvent]:
        return (self._typed(raw) for raw in list(self._entries))

    def __getitem__(self, index: int) -> TraceEvent:
        return self._typed(self._entries[index])

    def __contains__(self, condition: Condition) -> bool:
        return any(condition.holds(one) for one in self)

    def find(self, condition: Condition) -> list[TraceEvent]:
        """Return all entries that meet a condition."""
        return [one for one in self if condition.holds(one)]

    def count(self, condition: Condition) -> int:
        """Return the number of entries that meet a condition."""
        return len(self.find(condition))

    def expect(self, condition: Condition, timeout: float = 10.0) -> TraceEvent:
        """Wait for an event after the one that the last `expect` found.

        Args:
            condition: condition for the event.
            timeout: seconds.

        Raises:
            Missing: the event did not come; the report holds the end of the trace.
        """
        until = time.monotonic() + timeout
        begin = seen = self._cursor
        with self._news:
            self._waiting += 1
            try:
                while True:
                    for one in self._since(seen):
                        seen = one.number + 1
                        if condition.holds(one):
                            self._cursor = max(self._cursor, seen)
                            return one
                    left = until - time.monotonic()
                    if left <= 0:
                        break
                    if self._next == seen:
                        self._news.wait(left)
            finally:
                self._waiting -= 1
        raise Missing(
            f"{condition} has not happened within {timeout:g} s",
            "the trace below is what has, since the last thing that was expected",
            detail=self.text(begin),
        )

    def forget(self) -> None:
        """Make `expect` search only the events from now on."""
        self._cursor = self._next

    def _since(self, number: int) -> list[TraceEvent]:
        entries = list(self._entries)
        skip = max(0, number - entries[0][0]) if entries else 0
        return [self._typed(raw) for raw in entries[skip:]]

    def text(self, since: int = 0, most: int = SHOWN, *, config: bool = False) -> str:
        """Format the last entries for a reader, one per line."""
        found = [one for one in self._since(since) if config or not one.kind.startswith("config")]
        head = [f"… {len(found) - most} more"] if len(found) > most else []
        return "\n".join([*head, *map(str, found[-most:])]) or "nothing"

    @property
    def begun(self) -> int:
        """Nanoseconds of the host's monotonic clock at which the trace began."""
        return self._begun

    def raw(self) -> list[Raw]:
        """Return all kept entries, as they were recorded."""
        return list(self._entries)

    def _typed(self, raw: Raw) -> TraceEvent:
        number, ns, kind, cell, bar, offset, size, value, text = raw
        data = value if isinstance(value, bytes) else b""
        integer = int.from_bytes(value[:8], "little") if isinstance(value, bytes) else value
        whole = cell is not None and cell.register.size == size
        fields: dict[str, int] = Word(cell.register, integer).fields() if cell and whole else {}
        return TraceEvent(
            number=number,
            time=(ns - self._begun) / 1e9,
            kind=kind,
            register=cell.name if cell else "",
            fields=fields,
            value=integer,
            bar=bar if bar >= 0 else None,
            offset=offset,
            size=size,
            data=data,
            text=text,
            cell=cell,
        )

    def __repr__(self) -> str:
        return f"<Trace of {self._next} entries>"
