# SPDX-License-Identifier: MIT
"""Registers as in a data sheet: offset, width, reset value, and access to each bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from r4l.pci.declared import Declared, DefinitionError, place_of, shown
from r4l.pci.fields import COMBINED, FIELD_FORM, RC, RW, W1C, W1S, WO, AccessType, Field, FieldLike, as_field

if TYPE_CHECKING:
    from r4l.pci.device import Device

F = TypeVar("F", bound=Callable[..., Any])
WIDTHS = (8, 16, 32, 64)
HOOK = "_r4l_register"
"""Attribute of a method that is a register's side effect."""


class Partial(Enum):
    """Effect of an access that is narrower than its register, or spans several."""

    MERGE = auto()
    """The access affects only the bytes that it names."""
    WHOLE = auto()
    """A narrower access at the first byte counts as one to the whole register, with zeros above."""
    REFUSE = auto()
    """The device does not answer: a read gives all ones, a write does nothing."""


@dataclass(frozen=True)
class RegisterField:
    """A field of one register, such as `Edu.STATUS.computing`, an argument of a trace's `read` and `write`."""

    register: Register
    name: str


class Word(int):
    """The value of a register: an integer that has the register's fields as attributes."""

    _register: Any
    """The `Register` of the value."""

    def __new__(cls, register: Register, value: int) -> Word:
        """Make a value; bits beyond the register's width are dropped."""
        word = int.__new__(cls, value & register.mask)
        word._register = register
        return word

    def __getattr__(self, name: str) -> int:
        if name == "_register":
            raise AttributeError(name)
        fields: Mapping[str, Field] = self._register.fields
        if (field := fields.get(name)) is None:
            raise AttributeError(f"{self._register.name} has no field {name}; it has {self._register.field_names}")
        return (self & field.mask) >> field.shift

    def replace(self, /, **fields: int) -> Word:
        """Return the value with some fields changed.

        Raises:
            ValueError: a value does not fit in its field.
            AttributeError: the register has no such field.
        """
        return Word(self._register, self._register.changed(int(self), fields))

    def fields(self) -> dict[str, int]:
        """Return the value of each field."""
        fields: Mapping[str, Field] = self._register.fields
        return {name: (int(self) & field.mask) >> field.shift for name, field in fields.items()}

    def __repr__(self) -> str:
        return str(self._register.text(int(self)))

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else repr(self)


class Register(Declared):
    """A register of a device. The class attribute is this description, an instance's attribute is the value, a `Word`.

    `Edu.STATUS.irq` is the field `irq`, for a trace's `read` and `write`. There, a field hides an attribute of the same
    name, such as `reset` or `size`.

    Args:
        offset: place in its BAR in bytes, a multiple of its width.
        width: bits: 8, 16, 32 or 64.
        reset: value after a reset.
        access: access to its bits; a field can have its own.
        fields: fields by name: a bit's number, (high, low), or a `Field`. Bits outside of the fields follow `access`,
            too.
        bar: number of its BAR.
        partial: effect of an access of another width.
        sticky: True to keep the value through every reset but power-on.

    Raises:
        DefinitionError: the arguments contradict each other.
    """

    count = 1
    stride = 0

    def __init__(
        self,
        offset: int,
        width: int = 32,
        *,
        reset: int = 0,
        access: AccessType = RW,
        fields: Mapping[str, FieldLike] | None = None,
        bar: int = 0,
        partial: Partial = Partial.MERGE,
        sticky: bool = False,
    ) -> None:
        self.name = ""
        self.offset, self.width, self.reset, self.access = offset, width, reset, access
        self.bar, self.partial, self.sticky = bar, partial, bool(sticky)
        if width not in WIDTHS:
            raise self.wrong(f"is {width} bits wide", "give one of the widths 8, 16, 32 and 64")
        self.mask = (1 << width) - 1
        self.fields = self._fields({} if fields is None else fields)
        self.owner: type | None = None
        self.slot = -1
        self._declared: Register = self
        self._named: Register = self
        self.writer: str | None = None
        self.reader: str | None = None
        self._check()
        self.rules = self._rules()
        # The same as plain integers: a look into a table by access types costs more than the rest of an access.
        self.free = self.rules[RW] | self.rules[WO]
        self.hidden, self.cleared = self.rules[WO], self.rules[RC]
        self.clearing, self.setting = self.rules[W1C], self.rules[W1S]

    def _fields(self, said: Mapping[str, FieldLike]) -> dict[str, Field]:
        found = {}
        for name, field in said.items():
            try:
                found[name] = as_field(field)
            except TypeError as error:
                raise self.wrong(f"has a field {name!r} that is none: {error}", FIELD_FORM) from error
        return found

    def _check(self) -> None:
        if self.offset < 0:
            raise self.wrong(f"is at {self.offset:#x}", "give the bytes from the begin of its BAR, from 0 on")
        if self.offset % self.size:
            raise self.wrong(
                f"is at {self.offset:#x}, which is no multiple of its {self.size} bytes",
                f"align it: {self.offset - self.offset % self.size:#x} is one",
            )
        if not 0 <= self.reset <= self.mask:
            raise self.wrong(
                f"has a reset value {self.reset:#x} that does not fit in {self.width} bits",
                f"give 0 to {self.mask:#x}, or another width",
            )
        self._require_access("", self.access)
        taken: dict[str, int] = {}
        for name, field in self.fields.items():
            if not 0 <= field.shift <= field.high < self.width:
                raise self.wrong(
                    f"has a field {name} of the bits {field.high}:{field.shift}, which it does not have",
                    f"give the highest bit first, and bits from {self.width - 1} to 0",
                )
            if field.access is not None:
                self._require_access(f" in its field {name}", field.access)
            if not isinstance(name, str) or hasattr(Word, name) or not name.isidentifier():
                raise self.wrong(f"has a field {name!r}, and a value's attribute cannot be called that", "rename it")
            for other, mask in taken.items():
                if mask & field.mask:
                    raise self.wrong(f"has the fields {other} and {name}, which share bits", "give each its own bits")
            taken[name] = field.mask

    def _require_access(self, where: str, access: AccessType) -> None:
        if access not in tuple(AccessType) and access not in COMBINED:
            raise self.wrong(f"has{where} the access {access}, which excludes itself", "RC goes with W1C, W1S and RW")

    def _rules(self) -> dict[AccessType, int]:
        """Return the bits that each access type applies to."""
        masks = dict.fromkeys(AccessType, 0)
        rest = self.mask
        for field in self.fields.values():
            for one in field.access or self.access:
                masks[one] |= field.mask
            rest &= ~field.mask
        for one in self.access:
            masks[one] |= rest
        return masks

    @property
    def size(self) -> int:
        """Width in bytes."""
        return self.width // 8

    @property
    def span(self) -> int:
        """Bytes from the begin of the first to the end of the last."""
        return self.size

    @property
    def field_names(self) -> str:
        """Names of the fields, for a reader."""
        return ", ".join(self.fields) or "none"

    def written(self, old: int, value: int) -> int:
        """Return the value after software has written `value` over `old`."""
        return (old & ~self.free | value & self.free) & ~(value & self.clearing) | value & self.setting

    def value(self, /, *, base: int = 0, **fields: int) -> int:
        """Return a value with these fields, such as `CTRL.value(go=1)`.

        Args:
            base: value whose other bits are kept; if the register has a field `base`, the value of that field.
            fields: values of fields.

        Raises:
            ValueError: a value does not fit in its field.
            AttributeError: the register has no such field.
        """
        if "base" in self.fields:
            return self.changed(0, {"base": base, **fields})
        return self.changed(base, fields)

    def changed(self, base: int, fields: Mapping[str, int]) -> int:
        """Return a value with some fields changed.

        Args:
            base: value whose other bits are kept.
            fields: values of fields, by name.

        Raises:
            ValueError: a value does not fit in its field.
            AttributeError: the register has no such field.
        """
        for name, wanted in fields.items():
            field = self.fields.get(name)
            if field is None:
                raise AttributeError(f"{self.name} has no field {name}; it has {self.field_names}")
            if not 0 <= wanted <= field.mask >> field.shift:
                raise ValueError(f"{self.name}.{name} has {field.high - field.shift + 1} bits, and {wanted:#x} more")
            base = base & ~field.mask | wanted << field.shift
        return base

    def word(self, value: int) -> Word:
        """Return an integer as a value of this register."""
        return Word(self, value)

    def text(self, value: int) -> str:
        """Format a value for a reader: `0x00000081 computing=1 irq=1`, with the fields that are not 0."""
        said = [f"{value:#0{2 + self.width // 4}x}"]
        said += [f"{name}={number:#x}" for name, number in Word(self, value).fields().items() if number]
        return " ".join(said)

    def on_write(self, method: F) -> F:
        """Decorate the method of the device that is called after software has written: `f(self, old, new)`.

        Both are `Word`s, `new` after the access types were applied; the register already holds `new`, and the method
        may assign another value.

        Raises:
            DefinitionError: the register has such a method already, or belongs to another class.
        """
        self.writer = self._hook(self.writer, method)
        return method

    def on_read(self, method: F) -> F:
        """Decorate the method of the device that returns the value software reads: `f(self, value)` returns an integer.

        Raises:
            DefinitionError: the register has such a method already, or belongs to another class.
        """
        self.reader = self._hook(self.reader, method)
        return method

    def _hook(self, before: str | None, method: Callable[..., Any]) -> str:
        if not isinstance(method, FunctionType) or not method.__name__.isidentifier():
            raise self.wrong(
                f"is given {shown(method)} for its side effect", "decorate a method of the class, with a name"
            )
        name, place = method.__name__, place_of(method)
        if self.owner is not None:
            raise DefinitionError(
                f"{place}: {self.name} belongs to {self.owner.__name__}, and so do its side effects",
                f"override its method {before}" if before else "declare the register again",
            )
        if before:
            raise DefinitionError(
                f"{place}: {name} is a second method for the same event, beside {before}", "make one of the two"
            )
        setattr(method, HOOK, self)
        return name

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner, self.name = owner, name
        self._named = self._with_fields_first()

    def _with_fields_first(self) -> Register:
        """Return this register for code that names it by its class: fields there hide attributes of the register."""
        hidden = [name for name in self.fields if name in vars(self) or hasattr(type(self), name)]
        if not hidden:
            return self
        named = copy.copy(self)
        named.__class__ = type(type(self).__name__, (type(self),), {name: self._as_property(name) for name in hidden})
        return named

    def _as_property(self, name: str) -> property:
        return property(lambda _: RegisterField(self, name))

    @overload
    def __get__(self, instance: None, owner: type) -> Register: ...
    @overload
    def __get__(self, instance: Device, owner: type) -> Word: ...
    def __get__(self, instance: Device | None, owner: type) -> Register | Word:
        if instance is None:
            return self._named
        # Under the lock, so that a test sees the state between two accesses, not within one.
        with instance.held:
            return Word(self, instance._values[instance.layout.slots[self.name]])

    def __set__(self, instance: Device, value: int) -> None:
        if not isinstance(value, int):
            raise TypeError(f"{self.name} is a register ({self.line}), whose value is an integer, not {value!r}")
        with instance.held:
            instance._values[instance.layout.slots[self.name]] = value & self.mask

    def __getattr__(self, name: str) -> RegisterField:
        if name.startswith("_") or name == "fields" or name not in self.fields:
            raise AttributeError(f"a register has no attribute or field {name}")
        return RegisterField(self, name)

    def __repr__(self) -> str:
        one = self._declared
        return f"<Register {one.name} at {one.offset:#x} of BAR {one.bar}>"
