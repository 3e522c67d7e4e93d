# SPDX-License-Identifier: MIT
"""The definition of a model: rules for its class, which are checked when the class is made."""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any

from r4l.pci import config as cfg
from r4l.pci.capabilities import Capability, Express, Msix, Vendor
from r4l.pci.config import ConfigSpace
from r4l.pci.declared import DeclaredType, DefinitionError, caller, fits, mismatch, shown
from r4l.pci.extended import ExtendedCapability, ExtendedVendor
from r4l.pci.fault_kinds import FAULT_KINDS
from r4l.pci.layout import BARS, Bar
from r4l.pci.memory import Memory
from r4l.pci.registers import HOOK, Register
from r4l.pci.rings import DATA, DescriptorRing

if TYPE_CHECKING:
    from r4l.pci.device import Device

IDENTITY = {
    "vendor_id": 16,
    "device_id": 16,
    "class_code": 24,
    "revision": 8,
    "subsystem_vendor_id": 16,
    "subsystem_id": 16,
}
"""Attributes that identify a device, with their widths in bits."""


PLACES = "_r4l_places"
"""Attribute of a model with the places of its attributes; the empty name has the place of the class."""


class ModelBody(dict[str, Any]):
    """The namespace of a model's class while it is defined, in which no name may be declared twice.

    Attributes:
        places: file and line of each name's assignment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}

    def __setitem__(self, name: str, value: object) -> None:
        before = self.get(name)
        if isinstance(before, Register | Memory):
            raise DefinitionError(f"{caller()}: {name} is declared a second time, after {before.line}", "rename one")
        if hasattr(before, HOOK):
            raise DefinitionError(
                f"{caller()}: {name} is a second method of that name, and the first is a register's side effect",
                "give each a name of its own",
            )
        if isinstance(value, DeclaredType) and value.__module__.startswith(DeclaredType.__module__.rpartition(".")[0]):
            raise DefinitionError(
                f"{caller()}: {name} is the class {value.__name__} itself", f"write {name} = {value.__name__}(…)"
            )
        self.places[name] = caller()
        super().__setitem__(name, value)


class ModelType(type):
    """The type of models."""

    @classmethod
    def __prepare__(cls, _name: str, _bases: tuple[type, ...], /, **_words: Any) -> ModelBody:
        return ModelBody()

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **words: Any) -> ModelType:
        """Make a model, which keeps the places of its attributes for errors."""
        places = dict(body.places) if isinstance(body, ModelBody) else {}
        # A class that is made by a call has the module of the caller, which would be this one.
        module = sys._getframe(1).f_globals.get("__name__", "")
        whole = {"__module__": module, **body, PLACES: {"": caller(), **places}}
        return super().__new__(cls, name, bases, whole, **words)


def by_number(bars: Sequence[Bar | None]) -> dict[int, Bar]:
    """Return the existing BARs by their numbers."""
    return {number: bar for number, bar in enumerate(bars) if bar is not None}


def require_free_names(cls: type[Device]) -> None:
    """Refuse a register or memory that has the name of something else in a class from which the model inherits.

    Raises:
        DefinitionError: a name is taken.
    """
    parts: list[Register | Memory] = [*cls.layout.registers.values(), *cls.layout.memories.values()]
    for one in parts:
        taken = [base for base in cls.__mro__ if not isinstance(vars(base).get(one.name, one), Register | Memory)]
        if taken:
            raise one.wrong(f"has the name of an attribute of {taken[0].__name__}", "rename it")


def place_of_attribute(cls: type[Device], name: str) -> str:
    """Return file and line of an attribute's assignment, in the model or in the class from which it inherits it; of the
    model if there is none."""
    owner = next((base for base in cls.__mro__ if name in vars(base)), cls)
    return str(vars(owner).get(PLACES, {}).get(name) or vars(cls)[PLACES][""])


def wrong(cls: type[Device], name: str, what: str, remedy: str) -> DefinitionError:
    """Return an error with the place of a model's attribute.

    Args:
        cls: the model.
        name: name of the attribute.
        what: the mistake.
        remedy: a sentence that says what to do.
    """
    return DefinitionError(f"{place_of_attribute(cls, name)}: {cls.__name__} {what}", remedy)


def require_readable(cls: type[Device]) -> None:
    """Refuse a description of a model for readers of a recording that names what the model does not have.

    Raises:
        DefinitionError: it does.
    """
    registers = cls.layout.registers
    for ring in cls.rings:
        ring.require_registers(registers)
    if cls.interrupt_mask and cls.interrupt_mask not in registers:
        raise wrong(
            cls,
            "interrupt_mask",
            f"has the interrupt_mask {cls.interrupt_mask}, which is no register of it",
            "name a register, or leave interrupt_mask out",
        )


def require_sound(cls: type[Device]) -> None:
    """Refuse a model whose identity, BARs, capabilities, rings or faults contradict each other.

    Raises:
        DefinitionError: they do.
    """
    _require_identity(cls)
    _require_list(cls, "bars", Bar, type(None))
    _require_list(cls, "capabilities", Capability)
    _require_list(cls, "rings", DescriptorRing)
    if cls.patience is not None and not (fits(cls.patience, float) and 0 < cls.patience < TIMEOUT_MAX):
        raise wrong(cls, "patience", f"has the patience {shown(cls.patience)}", "give seconds, or None for no limit")
    if not _takes(cls.clock) or (isinstance(cls.clock, type) and not hasattr(cls.clock, "now")):
        raise wrong(cls, "clock", f"has the clock {shown(cls.clock)}", "give RunningTime or SteppedTime")
    if not isinstance(cls.interrupt_mask, str):
        raise wrong(cls, "interrupt_mask", *mismatch("interrupt_mask", cls.interrupt_mask, str))
    _require_bars(cls)
    _require_capabilities(cls)
    _require_rings(cls)
    _require_actions(cls)


def _require_identity(cls: type[Device]) -> None:
    for name, bits in IDENTITY.items():
        value = getattr(cls, name)
        if not fits(value, int):
            raise wrong(cls, name, *mismatch(name, value, int))
        if not 0 <= value < 1 << bits:
            raise wrong(
                cls,
                name,
                f"has the {name} {value:#x}, which does not fit in {bits} bits",
                f"give 0 to {(1 << bits) - 1:#x}",
            )
    if not fits(cls.interrupt_pin, int) or cls.interrupt_pin not in range(5):
        what = f"has the interrupt_pin {shown(cls.interrupt_pin)}"
        raise wrong(cls, "interrupt_pin", what, "give 1 to 4, or 0 for none")


def _require_list(cls: type[Device], name: str, *kinds: type) -> None:
    """Refuse an attribute that is no sequence of values of some types."""
    value = getattr(cls, name)
    kind = kinds[0].__name__
    if isinstance(value, kinds) and value is not None:
        raise wrong(cls, name, f"has {name} without a comma: {shown(value)}", f"write {name} = ({kind}(…),)")
    if not isinstance(value, tuple | list):
        raise wrong(cls, name, f"has the {name} {shown(value)}", f"give a tuple: {name} = ({kind}(…),)")
    for one in value:
        if not isinstance(one, kinds):
            raise wrong(cls, name, f"has {shown(one)} in {name}, which is no {kind}", f"write {name} = ({kind}(…),)")


def _require_bars(cls: type[Device]) -> None:
    bars = by_number(cls.bars)
    for number, bar in bars.items():
        if number not in range(BARS):
            raise bar.wrong(f"is number {number}", f"give at most {BARS}: they are BAR 0 to {BARS - 1}")
        if bar.bits == 64 and (number + 1 in bars or number + 1 == BARS):
            raise bar.wrong(
                f"is BAR {number}, 64 bits wide, and takes number {number + 1}, too",
                "put None after it, or give it 32 bits" if number + 1 < BARS else "give it a lower number, or 32 bits",
            )


def _require_capabilities(cls: type[Device]) -> None:
    bars = by_number(cls.bars)
    express = any(isinstance(one, Express) for one in cls.capabilities)
    seen: set[tuple[bool, int]] = set()
    for one in cls.capabilities:
        if isinstance(one, Msix):
            if (bar := bars.get(one.bar)) is None:
                raise one.wrong(f"is in BAR {one.bar}, which the device does not have", "give it a place in `bars`")
            if bar.io:
                raise one.wrong(f"is in BAR {one.bar}, which has I/O ports", "put it in a BAR with memory: Msix(bar=…)")
            if (end := max(end for _, end, _ in one.places)) > bar.size:
                raise one.wrong(f"ends at {end:#x}, and BAR {one.bar} has {bar.size:#x} bytes", "enlarge the BAR")
        extended = isinstance(one, ExtendedCapability)
        if extended and not express:
            raise one.wrong("is in the extended configuration space, which only PCI Express has", "add Express()")
        if not isinstance(one, Vendor | ExtendedVendor):
            if (extended, one.number) in seen:
                raise one.wrong("is there twice", "leave one out")
            seen.add((extended, one.number))
    space = ConfigSpace((0,) * 6, bars, cls.capabilities, 0)
    for end, size in ((space.end, cfg.SIZE), (space.extended_end, cfg.EXTENDED_SIZE)):
        if end > size:
            raise wrong(
                cls,
                "capabilities",
                f"has capabilities that end at {end:#x}, and the configuration space has {size:#x} bytes",
                "leave some out, or shorten those of the vendor",
            )


def _require_rings(cls: type[Device]) -> None:
    for name, number in Counter(ring.name for ring in cls.rings).items():
        if number > 1:
            last = [ring for ring in cls.rings if ring.name == name][-1]
            raise last.wrong("has the name of another one", "give each a name of its own")
    if taken := [ring for ring in cls.rings if ring.name == DATA]:
        raise taken[0].wrong("has the name that faults have for memory outside of rings", "rename it")


def _require_actions(cls: type[Device]) -> None:
    actions = cls.actions
    if not isinstance(actions, Mapping):
        what = f"has the actions {shown(actions)}"
        raise wrong(cls, "actions", what, "give a dictionary: names of faults, and of the methods that are called")
    for name, method in actions.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            what = f"has the fault {name!r}, a name that no text of a fault can have"
            raise wrong(cls, "actions", what, "give letters, digits and -")
        if name in FAULT_KINDS:
            what = f"has the fault {name}, which is one that all devices have"
            raise wrong(cls, "actions", what, "give it another name")
        if not isinstance(method, str) or not callable(getattr(cls, method, None)):
            what = f"has the fault {name} with the method {shown(method)}, which there is not"
            raise wrong(cls, "actions", what, "give the name of a method without arguments")
        if not _takes(getattr(cls, method), "self"):
            what = f"has the fault {name} with the method {method}, which needs arguments"
            raise wrong(cls, "actions", what, "give the name of a method without arguments")


def _takes(function: object, *arguments: str) -> bool:
    """Return True if a function can be called with so many arguments, as far as its signature is known."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        # Written in C, without a signature.
        return True
    return True
