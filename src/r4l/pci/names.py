# SPDX-License-Identifier: MIT
"""Names of a model that are r4l's own: a method or an attribute of the model with one of these would take the place of
r4l's, and the device would not work. They are refused when the class is made.

Assignments in methods (`self.running = True`) are found in the byte code of the class's functions: a check at run time
would cost each assignment of each model. An assignment through another name than the first argument, or by `setattr`,
is not found.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from r4l.pci.declared import DefinitionError
from r4l.pci.definition import IDENTITY, PLACES, place_of_attribute
from r4l.pci.memory import Memory
from r4l.pci.registers import Register

if TYPE_CHECKING:
    from r4l.pci.device import Device

FOUNDATION = frozenset({"r4l.pci.access", "r4l.pci.device", "r4l.pci.network"})
"""Modules of the classes that all models stand on, whose names are taken."""
OURS = "r4l.pci."
"""Package of r4l's own models, which may change what they stand on."""
FIXED = frozenset({*IDENTITY, "bars", "capabilities", "interrupt_pin", "clock"})
"""Names that a model gives values in its class, from which each device is made."""
SETTINGS = FIXED | {"patience", "actions", "rings", "interrupt_mask", "mac"}
"""Names that a model gives values, in its class or, but for the fixed ones, in its methods."""
HOOKS: Mapping[str, tuple[str, ...]] = {
    "on_reset": ("reason",),
    "on_plug": (),
    "on_unplug": (),
    "receive": ("frame",),
    "arrive": ("frame",),
    "send_frame": ("frame",),
    "on_line_free": (),
    "line_is_full": (),
    "set_cable": ("connected",),
    "make_cable": (),
}
"""Methods and properties that a model defines or overrides, with their arguments after `self`."""
INSTEAD = {
    "reset": "; what a reset does is on_reset(self, reason)",
    "plugged": "; what a plug does is on_plug(self)",
    "unplugged": "; what an unplug does is on_unplug(self)",
    "pull": "; what an unplug does is on_unplug(self)",
}
"""Remedies that name the method that a model's author may have meant."""
STORES = (dis.opmap["STORE_ATTR"], dis.opmap["DELETE_ATTR"])


def taken(*classes: type) -> frozenset[str]:
    """Return the names that r4l's own classes use and that a model must not define, of attributes and methods.

    Args:
        classes: `Device`, `NetworkCard` or classes that inherit from them.
    """
    foundation = {base for cls in classes for base in cls.__mro__ if base.__module__ in FOUNDATION}
    return frozenset().union(*map(_own_names, foundation))


@functools.cache
def _own_names(cls: type) -> frozenset[str]:
    """Return the names that a class of the foundation uses and no model may define."""
    names = {*vars(cls), *inspect.get_annotations(cls)}
    names |= {name for function in _functions(cls) for name, _ in _stores(function.__code__, None)}
    return frozenset(name for name in names if not _is_special(name)) - SETTINGS - HOOKS.keys()


def _is_special(name: str) -> bool:
    """Return True for Python's own names, and those that a class's machinery has in it."""
    return name.startswith(("__", "_r4l_"))


def require_own_names(cls: type[Device]) -> None:
    """Refuse a model that defines, or sets in a method, what is r4l's own.

    Raises:
        DefinitionError: it does, or a method that r4l calls cannot be called as r4l calls it.
    """
    if cls.__module__.startswith(OURS):
        return
    names = taken(cls)
    for base in cls.__mro__:
        # A class that inherits from the same classes of r4l's was looked at when it was made itself.
        if base.__module__.startswith(OURS) or base is object or (base is not cls and taken(base) == names):
            continue
        for name in vars(base).keys() & names:
            # r4l itself gives each model its layout.
            made_here = base is cls or name != "layout"
            if made_here and inspect.getattr_static(cls, name) is vars(base)[name]:
                raise _of_class(cls, base, name)
        for function in _functions(base):
            for name, place in _stores(function.__code__, names | FIXED):
                what = "belongs in the class" if name in FIXED else f"is {_owner(cls, name)}'s own"
                remedy = f"write {name} = … in the class" if name in FIXED else _remedy(name)
                raise DefinitionError(f"{place}: {cls.__name__} sets self.{name}, which {what}", remedy)
    _require_hooks(cls)


def _of_class(cls: type[Device], base: type, name: str) -> DefinitionError:
    value = vars(base)[name]
    if isinstance(value, Register | Memory):
        return value.wrong(f"has the name of an attribute of {_owner(cls, name)}", _remedy(name))
    return DefinitionError(
        f"{_place(cls, base, name)}: {cls.__name__} defines {name}, which is {_owner(cls, name)}'s own", _remedy(name)
    )


def _owner(cls: type, name: str) -> str:
    """Return the name of the class whose name is taken; that of a part of `Device` is Device's."""
    owners = [base.__name__ for base in cls.__mro__ if base.__module__ in FOUNDATION and name in _own_names(base)]
    return owners[0] if owners[0] == "NetworkCard" else "Device"


def _remedy(name: str) -> str:
    return "rename it" + INSTEAD.get(name, "")


def _place(cls: type[Device], base: type, name: str) -> str:
    """Return file and line of a class's attribute, as far as they are known; else those of the model."""
    if name not in vars(base).get(PLACES, {}) and (found := list(_unwrapped(vars(base)[name]))):
        code = found[-1].__code__
        return f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return place_of_attribute(cls, name)


def _require_hooks(cls: type[Device]) -> None:
    """Refuse a method of a model that r4l cannot call.

    Raises:
        DefinitionError: there is one.
    """
    for name in HOOKS.keys() & {name for base in cls.__mro__ for name in vars(base)}:
        base = next(base for base in cls.__mro__ if name in vars(base))
        method = vars(base)[name]
        if base.__module__ in FOUNDATION or isinstance(method, property | staticmethod | classmethod):
            continue
        form = f"define it as {name}({', '.join(('self', *HOOKS[name]))})"
        if isinstance(method, Register | Memory):
            raise method.wrong("has the name of a method that r4l calls", "rename it")
        try:
            inspect.signature(method).bind("self", *HOOKS[name])
        except (TypeError, ValueError) as error:
            place = _place(cls, base, name)
            raise DefinitionError(f"{place}: {cls.__name__}.{name} cannot be called: {error}", form) from error


def _functions(cls: type) -> Iterator[FunctionType]:
    """Yield the functions of a class whose first argument is an instance."""
    for value in vars(cls).values():
        yield from _unwrapped(value)


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    """Yield the function that is an attribute of a class, and those that it is made of: of a property, a cached one, a
    partial method, or below a decorator."""
    if isinstance(value, FunctionType):
        yield value
    if isinstance(value, property):
        parts = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.cached_property | functools.partialmethod):
        parts = [value.func]
    elif isinstance(value, type | staticmethod | classmethod):
        parts = []
    else:
        # Not by `vars`: a register whose dictionary was asked for has slower attributes ever after.
        parts = [getattr(value, "__wrapped__", None)] if callable(value) else []
    for part in parts:
        if part is not None and part is not value:
            yield from _unwrapped(part)


def _stores(code: CodeType, names: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """Yield the attributes of its first argument that a function sets or deletes, with file and line, also where a
    function inside of it does so.

    Args:
        code: the function.
        names: names that are looked for; None: all.
    """
    if code.co_argcount:
        yield from _stores_of(code, code.co_varnames[0], names)


def _stores_of(code: CodeType, first: str, names: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    if names is None or not names.isdisjoint(code.co_names):
        yield from _stores_here(code, first, names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and first in inner.co_freevars:
            yield from _stores_of(inner, first, names)


def _stores_here(code: CodeType, first: str, names: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    # The names of all attributes are in co_names, also of those that are read: most functions end here.
    if not any(one in STORES for one in code.co_code[::2]):
        return
    before: list[dis.Instruction] = []
    for one in dis.get_instructions(code):
        if one.opname in ("CACHE", "EXTENDED_ARG", "NOP", "NOT_TAKEN", "RESUME"):
            continue
        if one.opcode in STORES and (names is None or one.argval in names) and _is_of(first, before, one.argval):
            line = one.positions.lineno if one.positions else None
            yield one.argval, f"{Path(code.co_filename).name}:{line or code.co_firstlineno}"
        before.append(one)


def _is_of(first: str, before: list[dis.Instruction], name: str) -> bool:
    """Return True if a store that follows some instructions is one into the first argument.

    An augmented assignment (`self.x += 1`) has the object twice: loaded, copied, the attribute of the copy loaded.
    """
    last = before[-1]
    if last.opname != "SWAP":
        return _loads(first, last)
    copied = [("COPY", 1), ("LOAD_ATTR", name)]
    return any(
        _loads(first, load) and [(copy.opname, copy.argval), (get.opname, get.argval)] == copied
        for load, copy, get in zip(before, before[1:], before[2:], strict=False)
    )


def _loads(first: str, one: dis.Instruction) -> bool:
    """Return True if an instruction leaves the first argument on top of the stack. Python 3.13 and later have some
    that load two variables, or store one and load another."""
    if not one.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "STORE_FAST_LOAD_FAST")):
        return False
    return bool(one.argval == first or (isinstance(one.argval, tuple) and one.argval[-1] == first))
