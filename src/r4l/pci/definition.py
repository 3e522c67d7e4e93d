# SPDX-License-Identifier: MIT
"""The definition of a model: rules for its class, which are checked when the class is made."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r4l.pci import config as cfg
from r4l.pci.capabilities import Capability, Msix, Vendor
from r4l.pci.config import ConfigSpace
from r4l.pci.faults import FAULT_KINDS
from r4l.pci.layout import BARS, Bar
from r4l.pci.registers import HOOK, DefinitionError, Memory, Register, caller
from r4l.pci.rings import DescriptorRing

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


class ModelBody(dict[str, Any]):
    """The namespace of a model's class while it is defined, in which no name may be declared twice."""

    def __setitem__(self, name: str, value: object) -> None:
        before = self.get(name)
        if isinstance(before, Register | Memory):
            raise DefinitionError(f"{caller()}: {name} is declared a second time, after {before.place}", "rename one")
        if hasattr(before, HOOK):
            raise DefinitionError(
                f"{caller()}: {name} is a second method of that name, and the first is a register's side effect",
                "give each a name of its own",
            )
        super().__setitem__(name, value)


class ModelType(type):
    """The type of models."""

    @classmethod
    def __prepare__(cls, _name: str, _bases: tuple[type, ...], /, **_words: Any) -> ModelBody:
        return ModelBody()


def by_number(bars: Sequence[Bar | None]) -> dict[int, Bar]:
    """Return the existing BARs by their numbers."""
    return {number: bar for number, bar in enumerate(bars) if bar is not None}


def require_free_names(cls: type[Device], attributes: frozenset[str]) -> None:
    """Refuse a register or memory that has the name of something else.

    Args:
        cls: the model.
        attributes: names of the attributes of each device.

    Raises:
        DefinitionError: a name is taken.
    """
    parts: list[Register | Memory] = [*cls.layout.registers.values(), *cls.layout.memories.values()]
    for one in parts:
        taken = [base for base in cls.__mro__ if not isinstance(vars(base).get(one.name, one), Register | Memory)]
        if taken or one.name in attributes:
            owner = taken[0].__name__ if taken else "Device"
            raise one.wrong(f"has the name of an attribute of {owner}", "rename it")


def unreadable(cls: type[Device]) -> str:
    """Return the mistake in the description of a model for readers of a recording; empty if there is none."""
    if problem := _no_list(cls, "rings", DescriptorRing):
        return problem
    for ring in cls.rings:
        if problem := ring.problem(cls.layout.registers):
            return f"the ring {ring.name} {problem}"
    if cls.interrupt_mask and cls.interrupt_mask not in cls.layout.registers:
        return f"interrupt_mask names the register {cls.interrupt_mask}, which the device does not have"
    return ""


def _no_list(cls: type[Device], name: str, *kinds: type) -> str:
    """Return the mistake in an attribute that is a sequence of values of some types; empty if there is none."""
    value = getattr(cls, name)
    if not isinstance(value, tuple | list):
        return f"{name} is {value!r}; give a tuple, as in `{name} = (…,)`"
    wrong = [one for one in value if not isinstance(one, kinds)]
    return f"{name} has {wrong[0]!r}, which is no {kinds[0].__name__}" if wrong else ""


def _bad_actions(actions: Mapping[str, str]) -> str:
    """Return the mistake in the names of a model's own faults; empty if there is none."""
    if not isinstance(actions, Mapping):
        return f"actions is {actions!r}; give a dictionary: names of faults, and of the methods that are called"
    for name in actions:
        if name in FAULT_KINDS:
            return f"the fault {name} is one that all devices have; give it another name"
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
            return f"the fault {name!r} has a name that no text of a fault can have; give letters, digits and -"
    return ""


def mistake(check: Callable[[type[Device]], str], cls: type[Device]) -> str:
    """Return the mistake that a check finds in a model, also one that the check stumbles over: a value of another type
    than a BAR, a capability or a ring has there."""
    try:
        return check(cls)
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        return f"a value of a BAR, a capability or a ring is of a wrong type: {error}"


def contradiction(cls: type[Device]) -> str:
    """Return the mistake in a model's identity, BARs and capabilities; empty if there is none."""
    for name, bits in IDENTITY.items():
        if not isinstance(getattr(cls, name), int):
            return f"{name} is {getattr(cls, name)!r}, which is no integer"
        if not 0 <= getattr(cls, name) < 1 << bits:
            return f"{name} {getattr(cls, name):#x} does not fit in {bits} bits"
    if cls.interrupt_pin not in range(5):
        return f"interrupt_pin is {cls.interrupt_pin}; give 1 to 4, or 0 for none"
    if problem := _no_list(cls, "bars", Bar, type(None)) or _no_list(cls, "capabilities", Capability):
        return problem
    if cls.patience is not None and not (isinstance(cls.patience, int | float) and cls.patience > 0):
        return f"patience is {cls.patience!r}; give seconds, or None for no limit"
    if not callable(cls.clock):
        return f"clock is {cls.clock!r}; give RunningTime or SteppedTime"
    bars = by_number(cls.bars)
    for number, bar in bars.items():
        if number not in range(BARS):
            return f"there is no BAR {number}; they are 0 to 5"
        if problem := bar.problem():
            return f"BAR {number} {problem}"
        if bar.bits == 64 and (number + 1 in bars or number + 1 == BARS):
            return f"BAR {number} is 64 bits wide and takes number {number + 1}, too"
    if problem := next(filter(None, (one.problem() for one in cls.capabilities)), ""):
        return problem
    for one in cls.capabilities:
        if isinstance(one, Msix) and one.bar not in bars:
            return f"MSI-X is in BAR {one.bar}, which the device does not have"
        if isinstance(one, Msix) and bars[one.bar].io:
            return f"MSI-X is in BAR {one.bar}, which has I/O ports; its table is in memory"
        if isinstance(one, Msix) and (end := max(end for _, end, _ in one.places)) > bars[one.bar].size:
            return f"MSI-X ends at {end:#x}, and BAR {one.bar} has {bars[one.bar].size:#x} bytes"
    if len({one.number for one in cls.capabilities if not isinstance(one, Vendor)}) < sum(
        not isinstance(one, Vendor) for one in cls.capabilities
    ):
        return "a capability is there twice"
    if (end := ConfigSpace((0,) * 6, bars, cls.capabilities, 0).end) > cfg.SIZE:
        return f"the capabilities end at {end:#x}, and the configuration space at {cfg.SIZE:#x}"
    if problem := _bad_actions(cls.actions):
        return problem
    for name, action in cls.actions.items():
        if not callable(getattr(cls, action, None)):
            return f"the fault {name} is the method {action}, which there is not"
    return ""
