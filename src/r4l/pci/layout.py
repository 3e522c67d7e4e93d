# SPDX-License-Identifier: MIT
"""Places of registers and memories in the BARs of a model, checked for contradictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r4l.pci.arrays import RegisterArray
from r4l.pci.capabilities import Msix
from r4l.pci.declared import Declared, DefinitionError, place_of, shown
from r4l.pci.memory import Memory
from r4l.pci.registers import Register

BARS = 6
LARGEST = {32: 1 << 31, 64: 1 << 32}
"""Bytes of the largest BAR by its width. An address of 32 bits has no room for one bit more (PCI 3.0, 6.2.5.1)."""


@dataclass(frozen=True)
class Bar(Declared):
    """A base address register: a window of the device in the guest's memory, or its I/O ports.

    Args:
        size: bytes, a power of two: at least 16, or 4 for I/O ports (PCI 3.0, 6.2.5.1).
        io: True for I/O ports.
        bits: 32 or 64; 64 takes the next number, too.
        prefetchable: True if reads have no side effects.
        unmapped: value of each byte outside of registers: 0x00 or 0xff.
        sizes: sizes in bytes of the accesses that the BAR answers. Other reads give 0, and if `sizes` leaves any out,
            unaligned reads too.
    """

    size: int
    io: bool = False
    bits: int = 32
    prefetchable: bool = False
    unmapped: int = 0
    sizes: tuple[int, ...] = (1, 2, 4, 8)

    @property
    def flags(self) -> int:
        """Read-only low bits of the register in the configuration space."""
        return 1 if self.io else (4 if self.bits == 64 else 0) | (8 if self.prefetchable else 0)

    def takes(self, offset: int, size: int) -> bool:
        """Return True if the BAR answers such an access."""
        return size in self.sizes and (len(self.sizes) == 4 or offset % size == 0)

    def __post_init__(self) -> None:
        if self.bits not in LARGEST:
            raise self.wrong(f"has {self.bits} bits", "give 32 or 64")
        if self.io and (self.bits == 64 or self.prefetchable):
            raise self.wrong("is I/O and 64 bits wide or prefetchable", "leave out bits and prefetchable of I/O ports")
        least = 4 if self.io else 16
        most = 256 if self.io else LARGEST[self.bits]
        if self.size & (self.size - 1) or not least <= self.size <= most:
            raise self.wrong(f"has {self.size} bytes", f"give a power of two from {least} to {most}")
        if not self.sizes or set(self.sizes) - {1, 2, 4, 8}:
            raise self.wrong(f"takes accesses of {shown(self.sizes)} bytes", "give some of the sizes 1, 2, 4 and 8")
        if self.unmapped not in (0, 0xFF):
            raise self.wrong(f"reads as {self.unmapped} where nothing is", "give unmapped=0 or unmapped=0xff")


@dataclass(frozen=True)
class Cell:
    """A register in its place, or one register of an array.

    Attributes:
        register: its description.
        index: index in an array; None otherwise.
        offset: offset in its BAR.
        slot: place of the value in an instance.
        writer, reader: methods for its side effects, taken from the class.
    """

    register: Register
    index: int | None
    offset: int
    slot: int
    writer: Callable[..., Any] | None
    reader: Callable[..., Any] | None

    @property
    def name(self) -> str:
        """Name of the register, with the index."""
        return self.register.name if self.index is None else f"{self.register.name}[{self.index}]"


class Layout:
    """The registers and memories of a class.

    Args:
        cls: the model.
        bars: its BARs by their numbers.
        tables: its tables of MSI-X, which take places in a BAR.

    Attributes:
        bars: its BARs by their numbers.
        exact: for each BAR the cell that an access matches exactly, by `offset << 4 | size`.
        covering: for each BAR the cell that a byte belongs to, by offset.
        slots: place of each register's first value.
        resets: values after power-on.

    Raises:
        DefinitionError: the definitions contradict each other.
    """

    def __init__(self, cls: type, bars: Mapping[int, Bar], tables: Sequence[Msix]) -> None:
        self.exact: list[dict[int, Cell]] = [{} for _ in range(BARS)]
        self.covering: list[dict[int, Cell]] = [{} for _ in range(BARS)]
        self.slots: dict[str, int] = {}
        self.resets: list[int] = []
        self.sticky: set[int] = set()
        self.memories: dict[str, Memory] = {}
        self.registers: dict[str, Register] = {}
        self.bars = bars
        # The nearest class of the MRO that has the name decides, as for every attribute.
        for name in sorted({name for base in cls.__mro__ for name in vars(base)}):
            one = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
            if isinstance(one, Register):
                self._add_register(cls, one)
            elif isinstance(one, Memory):
                self._require_inside(one)
                self.memories[name] = one
        self._refuse_overlaps()
        for table in tables:
            self._refuse_in(table)

    def _add_register(self, cls: type, register: Register) -> None:
        self._require_inside(register)
        name = register.name
        self.registers[name] = register
        self.slots[name] = len(self.resets)
        writer = _method(cls, register, register.writer, "old", "new")
        reader = _method(cls, register, register.reader, "value")
        for number in range(register.count):
            slot = len(self.resets)
            self.resets.append(register.reset)
            if register.sticky:
                self.sticky.add(slot)
            offset = register.offset + number * register.stride
            index = number if isinstance(register, RegisterArray) else None
            cell = Cell(register, index, offset, slot, writer, reader)
            same = self.exact[register.bar].setdefault(offset << 4 | register.size, cell)
            if same is not cell:
                raise _overlap(same, cell)

    def _require_inside(self, one: Register | Memory) -> None:
        bar = self.bars.get(one.bar)
        if bar is None:
            raise one.wrong(f"is in BAR {one.bar}, which the device does not have", "give it a place in `bars`")
        if one.offset + one.span > bar.size:
            raise one.wrong(
                f"ends at {one.offset + one.span:#x}, and BAR {one.bar} has {bar.size:#x} bytes", "enlarge the BAR"
            )

    def _refuse_overlaps(self) -> None:
        for number in self.bars:
            places: list[tuple[int, int, Cell | Memory]] = [
                (cell.offset, cell.register.size, cell) for cell in self.exact[number].values()
            ]
            places += [(one.offset, one.size, one) for one in self.memories.values() if one.bar == number]
            end, before = 0, None
            for offset, size, one in sorted(places, key=lambda place: place[0]):
                if before is not None and offset < end:
                    raise _overlap(before, one)
                end, before = offset + size, one
                if isinstance(one, Cell):
                    self.covering[number].update(dict.fromkeys(range(offset, offset + size), one))

    def _refuse_in(self, table: Msix) -> None:
        parts: list[tuple[int, int, Register | Memory]] = [
            (cell.offset, cell.offset + cell.register.size, cell.register) for cell in self.exact[table.bar].values()
        ]
        parts += [(one.offset, one.offset + one.size, one) for one in self.memories.values() if one.bar == table.bar]
        for begin, end, what in table.places:
            for first, last, one in parts:
                if first < end and begin < last:
                    raise one.wrong(
                        f"at {first:#x} overlaps {what} at {begin:#x}", "give the table another place: Msix(table=…)"
                    )

    def touched(self, bar: int, offset: int, size: int) -> list[Cell]:
        """Return the registers that an access reaches, in their order."""
        if cell := self.exact[bar].get(offset << 4 | size):
            return [cell]
        covering = self.covering[bar]
        found = (covering.get(place) for place in range(offset, offset + size))
        return list({id(cell): cell for cell in found if cell}.values())

    def memory_at(self, bar: int, offset: int) -> Memory | None:
        """Return the memory that a byte belongs to."""
        return next(
            (one for one in self.memories.values() if one.bar == bar and 0 <= offset - one.offset < one.size), None
        )


def _method(cls: type, register: Register, name: str | None, *words: str) -> Callable[..., Any] | None:
    """Return the method for a register's side effect, which can be called with what an access gives it.

    Args:
        cls: the model.
        register: the register.
        name: name of the method; None if there is none.
        words: names of the arguments of a register that is no array.

    Raises:
        DefinitionError: it cannot, or it does nothing when it is called.
    """
    if name is None:
        return None
    method: Callable[..., Any] | None = getattr(cls, name, None)
    if method is None:
        raise register.wrong(
            f"has the method {name} for its side effect, which is not in the class", "keep the method's name"
        )
    arguments = ("self", *(["index"] if isinstance(register, RegisterArray) else []), *words)
    place = place_of(method) or register.line
    try:
        inspect.signature(method).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"{place}: {name} cannot be called for {register.name}: {error}",
            f"define it as {name}({', '.join(arguments)})",
        ) from error
    if any(kind(method) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction)):
        raise DefinitionError(
            f"{place}: {name} is a generator or a coroutine, which does nothing when it is called",
            "return the value, and say what comes later with self.after(seconds, …)",
        )
    return method


def _overlap(first: Cell | Memory, second: Cell | Memory) -> DefinitionError:
    one, other = (part.register if isinstance(part, Cell) else part for part in (first, second))
    if one is other:
        return one.wrong("is declared under two names", "declare each by itself")
    # The error names the later declaration, as far as the line numbers tell.
    one, other = sorted((one, other), key=lambda part: int(part.line.rpartition(":")[2]))
    return other.wrong(
        f"at {other.offset:#x} overlaps {one.name} at {one.offset:#x} ({one.line})",
        "give one of them another offset, or another BAR",
    )
