# SPDX-License-Identifier: MIT
"""Arrays of registers: several of one kind, at equal distances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from r4l.pci.fields import RW, AccessType, FieldLike
from r4l.pci.registers import Partial, Register, Word

if TYPE_CHECKING:
    from r4l.pci.device import Device

MOST_REGISTERS = 1 << 20
"""Number of registers in the largest array: each takes memory of this process."""


@dataclass(frozen=True)
class RegisterElement:
    """One register of an array, such as `E1000.MTA[3]`, for the questions to a trace."""

    register: RegisterArray
    index: int


class Words(Sequence[Word]):
    """The values of an array of registers: by index, and assignable."""

    def __init__(self, register: RegisterArray, device: Device) -> None:
        self._register, self._device = register, device
        self._first = device.layout.slots[register.name]

    def __len__(self) -> int:
        return self._register.count

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self._register.name} has {len(self)} registers, and none with the number {index}")
        return self._first + index % len(self)

    @overload
    def __getitem__(self, index: int) -> Word: ...
    @overload
    def __getitem__(self, index: slice) -> list[Word]: ...
    def __getitem__(self, index: int | slice) -> Word | list[Word]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        with self._device.held:
            return Word(self._register, self._device._values[self._place(index)])

    def __setitem__(self, index: int, value: int) -> None:
        with self._device.held:
            self._device._values[self._place(index)] = value & self._register.mask

    def __iter__(self) -> Iterator[Word]:
        return (self[index] for index in range(len(self)))


class RegisterArray(Register):
    """Several registers of one kind; on an instance `Words`. Their methods get the index first: `f(self, index, …)`.

    Args:
        count: number of registers.
        stride: bytes from one to the next; by default (0) their size.
    """

    def __init__(
        self,
        offset: int,
        width: int = 32,
        *,
        count: int,
        stride: int = 0,
        reset: int = 0,
        access: AccessType = RW,
        fields: Mapping[str, FieldLike] | None = None,
        bar: int = 0,
        partial: Partial = Partial.MERGE,
        sticky: bool = False,
    ) -> None:
        self.count, self.stride = count, stride or width // 8
        super().__init__(
            offset, width, reset=reset, access=access, fields=fields, bar=bar, partial=partial, sticky=sticky
        )

    def _check(self) -> None:
        super()._check()
        if not 1 <= self.count <= MOST_REGISTERS:
            raise self.wrong(f"is an array of {self.count}", f"give a count from 1 to {MOST_REGISTERS}")
        if self.stride < self.size or self.stride % self.size:
            raise self.wrong(
                f"has {self.stride} bytes from one to the next",
                f"give a stride that is a multiple of its {self.size} bytes",
            )

    @property
    def span(self) -> int:
        """Bytes from the begin of the first to the end of the last."""
        return (self.count - 1) * self.stride + self.size

    def __getitem__(self, index: int) -> RegisterElement:
        """Return one register of the array, for a question to a trace.

        Raises:
            IndexError: the array has no such register.
        """
        array = self._declared
        assert isinstance(array, RegisterArray)
        if not 0 <= index < array.count:
            raise IndexError(f"{array.name} has {array.count} registers, and none with the number {index}")
        return RegisterElement(array, index)

    @overload  # type: ignore[override]
    def __get__(self, instance: None, owner: type) -> RegisterArray: ...
    @overload
    def __get__(self, instance: Device, owner: type) -> Words: ...
    def __get__(self, instance: Device | None, owner: type) -> RegisterArray | Words:
        if instance is not None:
            return Words(self, instance)
        named = self._named
        assert isinstance(named, RegisterArray)
        return named

    def __set__(self, instance: Device, value: object) -> None:
        raise AttributeError(f"{self.name} is an array: assign to one of it, {self.name}[0] = …")
