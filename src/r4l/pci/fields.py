# SPDX-License-Identifier: MIT
"""Fields of a register: some of its bits, and the access that software has to them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Flag, auto

from r4l.pci.declared import Declared, shown

FIELD_FORM = "give a bit, (high, low), or a Field"
MOST_BITS = 2048
"""Number of bits of the largest thing that has fields: a descriptor of 256 bytes."""


class AccessType(Flag):
    """Kinds of access to bits, with the names that UVM and most data sheets use.

    RC can be combined with W1C, W1S and RW, such as `RC | W1C`; the others exclude each other.
    """

    RO = auto()
    """Read only: writes change nothing."""
    RW = auto()
    """Read and write."""
    WO = auto()
    """Write only: reads give the BAR's value outside of registers; the model sees the written value."""
    RC = auto()
    """Read only, and cleared by a read."""
    W1C = auto()
    """Cleared by writing a one."""
    W1S = auto()
    """Set by writing a one."""


RO, RW, WO, RC, W1C, W1S = AccessType
COMBINED = (RC | W1C, RC | W1S, RC | RW)


@dataclass(frozen=True)
class Field(Declared):
    """Some bits of a register.

    Args:
        high: number of the highest bit.
        low: number of the lowest bit; `high` by default.
        access: access to these bits; the register's by default.

    Attributes:
        shift: number of the lowest bit.
        mask: mask of the bits, in their places.
    """

    high: int
    low: int | None = None
    access: AccessType | None = None

    # Attributes, not properties: a model asks for them a hundred thousand times a second.
    shift: int = dataclasses.field(init=False, repr=False, compare=False)
    mask: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shift = self.high if self.low is None else self.low
        if max(self.high, shift) >= MOST_BITS:
            raise self.wrong(f"has the bits {self.high}:{shift}", f"give bits below {MOST_BITS}")
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "mask", ((1 << max(0, self.high - shift + 1)) - 1) << max(0, shift))


FieldLike = Field | int | tuple[int, int]


def as_field(said: FieldLike) -> Field:
    """Return a field for a bit's number, (high, low), or a `Field`.

    Raises:
        TypeError: it is none of these.
    """
    bits = (said.high, said.shift) if isinstance(said, Field) else said if isinstance(said, tuple) else (said,)
    if not all(isinstance(bit, int) for bit in bits) or not 1 <= len(bits) <= 2:
        raise TypeError(f"{shown(said)} is no bit, and no two of them")
    return said if isinstance(said, Field) else Field(*bits)
