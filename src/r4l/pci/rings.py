# SPDX-License-Identifier: MIT
"""Rings of descriptors in the guest's memory, described as data, for readers of a recording (docs/devices.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r4l.pci.registers import Field, FieldLike, Register, as_field

if TYPE_CHECKING:
    from r4l.pci.layout import Layout

LARGEST_DESCRIPTOR = 256
"""Bytes."""


@dataclass(frozen=True)
class DescriptorRing:
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

    @property
    def bits(self) -> dict[str, Field]:
        """The fields of a descriptor."""
        return {name: as_field(field) for name, field in self.fields.items()}

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of the registers that define the ring."""
        named = (*self.base, self.head, self.tail, self.length, self.count if isinstance(self.count, str) else "")
        return tuple(filter(None, named))

    def problem(self, registers: Mapping[str, Register]) -> str:
        """Return the mistake in the definition; empty if there is none.

        Args:
            registers: registers of the device by name.
        """
        for name in self.registers:
            if name not in registers:
                return f"names the register {name}, which the device does not have"
            if registers[name].count > 1:
                return f"names {name}, which is an array"
        if not self.base or not self.head or not self.tail or bool(self.length) == bool(self.count):
            return "needs base, head, tail, and either length or count"
        if not 0 < self.size <= LARGEST_DESCRIPTOR:
            return f"has descriptors of {self.size} bytes; 1 to {LARGEST_DESCRIPTOR} are possible"
        for name, field in self.bits.items():
            if not 0 <= field.shift <= field.high < 8 * self.size:
                return f"has a field {name} of the bits {field.high}:{field.shift}, outside of its {self.size} bytes"
        for name in (self.done, *self.buffer):
            if name and name not in self.fields:
                return f"names the field {name}, which its descriptors do not have"
        return "" if len(self.buffer) <= 2 else "has a buffer of more fields than address and length"

    def place(self, layout: Layout, values: list[int]) -> tuple[int, int]:
        """Return the guest's address of the ring and the number of its descriptors.

        Args:
            layout: registers of the device.
            values: their values, by slot.
        """
        address = shift = 0
        for name in self.base:
            address |= values[layout.slots[name]] << shift
            shift += layout.registers[name].width
        if self.length:
            return address, values[layout.slots[self.length]] // self.size
        return address, self.count if isinstance(self.count, int) else values[layout.slots[self.count]]
