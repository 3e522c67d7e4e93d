# SPDX-License-Identifier: MIT
"""Rings of descriptors in the guest's memory, described as data, for readers of a recording (docs/devices.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from r4l.pci.arrays import RegisterArray
from r4l.pci.declared import Declared
from r4l.pci.fields import FIELD_FORM, Field, FieldLike, as_field
from r4l.pci.registers import Register

if TYPE_CHECKING:
    from r4l.pci.layout import Layout

LARGEST_DESCRIPTOR = 256
"""Bytes."""
DATA = "data"
"""Name of memory outside of all rings, for faults."""
BUFFER = ".buffer"
"""End of the name of a ring's buffers, for faults."""


@dataclass(frozen=True)
class DescriptorRing(Declared):
    """A ring of descriptors, by the registers that define it. The model does not use it; the scope draws it.

    Descriptors from the head up to the tail belong to the device, the others to the driver.

    Args:
        name: name for a reader, such as "transmit".
        base: registers with the guest's address of the first descriptor, the lowest part first; each one counts as many
            bits as it has.
        head: register with the index of the next descriptor that the device uses.
        tail: register with the index of the first descriptor that belongs to the driver.
        length: register with the ring's length in bytes; or
        count: register with the number of descriptors, or the number itself.
        size: bytes of a descriptor, which is a little-endian number.
        fields: fields of a descriptor by name, like those of a register.
        done: field that the device sets when it has used a descriptor; empty if there is none.
        buffer: fields with a buffer's address and its length; the length may be left out.
    """

    name: str
    base: tuple[str, ...]
    head: str
    tail: str
    length: str = ""
    count: str | int = 0
    size: int = 16
    fields: Mapping[str, FieldLike] = dataclasses.field(default_factory=dict)
    done: str = ""
    buffer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or any(one.isspace() or one in "@#." for one in self.name):
            raise self.wrong(
                f"has the name {self.name!r}", "give one without spaces, dots, @ and #: faults name their place by it"
            )
        if not self.base:
            raise self.wrong("has no register in base", "name the registers with its address, the lowest part first")
        if bool(self.length) == bool(self.count):
            raise self.wrong(
                "has neither length nor count" if not self.count else "has length and count", "give one of them"
            )
        if isinstance(self.count, int) and self.count < 0:
            raise self.wrong(f"has the count {self.count}", "give a register's name, or a number from 1 on")
        if not 0 < self.size <= LARGEST_DESCRIPTOR:
            raise self.wrong(f"has descriptors of {self.size} bytes", f"give 1 to {LARGEST_DESCRIPTOR}")
        try:
            bits = self.bits
        except TypeError as error:
            raise self.wrong(f"has a field that is none: {error}", FIELD_FORM) from error
        for name, field in bits.items():
            if not 0 <= field.shift <= field.high < 8 * self.size:
                raise self.wrong(
                    f"has a field {name} of the bits {field.high}:{field.shift}, which its descriptors do not have",
                    f"give the highest bit first, and bits from {8 * self.size - 1} to 0",
                )
        if missing := [name for name in (self.done, *self.buffer) if name and name not in self.fields]:
            raise self.wrong(
                f"names the field {missing[0]}, which its descriptors do not have",
                f"name one of its fields: {', '.join(map(str, self.fields)) or 'there are none'}",
            )
        if len(self.buffer) > 2:
            raise self.wrong("has a buffer of more fields than two", "give the fields of its address and its length")

    @property
    def title(self) -> str:
        """The ring for a reader."""
        name = getattr(self, "name", "")
        return f"the ring {name}" if name else "DescriptorRing"

    @property
    def bits(self) -> dict[str, Field]:
        """The fields of a descriptor."""
        return {name: as_field(field) for name, field in self.fields.items()}

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the registers that define the ring."""
        named = (*self.base, self.head, self.tail, self.length, self.count if isinstance(self.count, str) else "")
        return tuple(filter(None, named))

    def require_registers(self, registers: Mapping[str, Register]) -> None:
        """Refuse registers that a device does not have.

        Args:
            registers: registers of the device by name.

        Raises:
            DefinitionError: the ring names another one, or an array.
        """
        for name in (*self.base, self.head, self.tail, *self.registers):
            if name not in registers:
                near = get_close_matches(name, registers, 1)
                raise self.wrong(
                    f"names the register {name!r}, which the device does not have",
                    f"name {near[0]}" if near else "declare it, or name another one",
                )
            if isinstance(registers[name], RegisterArray):
                raise self.wrong(f"names {name}, which is an array", "name a register that is none")

    def place(self, layout: Layout, values: Sequence[int | None]) -> tuple[int, int]:
        """Return the guest's address of the ring and the number of its descriptors.

        Args:
            layout: registers of the device.
            values: their values, by slot; None counts as 0.
        """
        address = shift = 0
        for name in self.base:
            address |= (values[layout.slots[name]] or 0) << shift
            shift += layout.registers[name].width
        if self.length:
            return address, (values[layout.slots[self.length]] or 0) // self.size
        return address, self.count if isinstance(self.count, int) else values[layout.slots[self.count]] or 0
