# SPDX-License-Identifier: MIT
"""Registers of a model: values with the names of the data sheet, fields, access, inheritance."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.pci.sources import HEAD, define

from r4l.pci import RC, RO, RW, W1C, Bar, DefinitionError, Device, Field, Partial, Register, Word, write


class Base(Device):
    vendor_id = 0x1234
    device_id = 1
    bars = (Bar(0x100),)
    CONTROL = Register(0x00, fields={"go": 0, "speed": (7, 4)})
    COUNT = Register(0x04, access=RO)

    @CONTROL.on_write
    def control(self, old: Word, new: Word) -> None:
        self.COUNT += 1


class Twin(Base):
    device_id = 2
    COUNT = Register(0x08, access=RO, reset=7)

    def control(self, old: Word, new: Word) -> None:
        self.COUNT += 10


def test_a_model_can_be_inherited_and_changed() -> None:
    base, twin = Base(), Twin()
    base.bar_write(0, 0, 4, 1)
    twin.bar_write(0, 0, 4, 1)
    assert (base.COUNT, twin.COUNT) == (1, 17)
    assert (base.bar_read(0, 4, 4), base.bar_read(0, 8, 4)) == (1, 0)
    assert (twin.bar_read(0, 4, 4), twin.bar_read(0, 8, 4)) == (0, 17)


def test_side_effects_of_an_inherited_register_are_its_class_s() -> None:
    with pytest.raises(DefinitionError, match="CONTROL belongs to Base"):

        class Other(Base):
            @Base.CONTROL.on_write
            def more(self, old: Word, new: Word) -> None: ...


def test_a_model_may_forget_to_call_its_base_s_init() -> None:
    class Forgetful(Base):
        def __init__(self) -> None:
            self.mine = 1

    assert Forgetful().bar_read(0, 4, 4) == 0


def test_values_read_like_the_data_sheet() -> None:
    device = Base()
    device.CONTROL = 0x31
    assert (device.CONTROL.go, device.CONTROL.speed) == (1, 3)
    device.CONTROL = device.CONTROL.replace(speed=5)
    assert device.CONTROL == 0x51
    assert repr(device.CONTROL) == "0x00000051 go=0x1 speed=0x5"
    assert Base.CONTROL.value(go=1, speed=15) == 0xF1
    with pytest.raises(ValueError, match=r"CONTROL.speed has 4 bits, and 0x10 more"):
        device.CONTROL.replace(speed=16)
    with pytest.raises(AttributeError, match="CONTROL has no field stop; it has go, speed"):
        _ = device.CONTROL.stop


def test_fields_have_access_types_of_their_own() -> None:
    class Model(Device):
        vendor_id = 0x1234
        bars = (Bar(0x100),)
        STATUS = Register(0x00, access=RO, fields={"done": Field(0, access=W1C), "mode": Field(3, 2, RW), "busy": 7})
        CAUSE = Register(0x04, access=RC | W1C)

    device = Model()
    device.STATUS = 0x81
    device.bar_write(0, 0, 4, 0xFFFFFFFF)
    assert device.STATUS == 0x8C
    device.CAUSE = 0x0F
    device.bar_write(0, 4, 4, 0x03)
    assert device.CAUSE == 0x0C
    assert device.bar_read(0, 4, 4) == 0x0C
    assert device.CAUSE == 0


NAMES = """
reset size mask count width access free bar name value text base what offset word owner slot line title wrong
stride span hidden cleared rules writer reader on_write on_read register self partial sticky changed written
"""


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("name", NAMES.split())
def test_a_field_may_have_the_name_of_an_attribute_of_registers(name: str, array: bool) -> None:
    """Data sheets have fields that are called reset, size and count."""
    kind = "RegisterArray(0x10, count=2, " if array else "Register(0x10, "
    model: Any = define(
        f"{HEAD}    A = Register(0x00)\n    B = {kind}reset=0x30, fields={{{name!r}: (7, 4), 'other': 0}})\n"
        "    @B.on_write\n    def b(self, *words): self.last = words[-1]\n"
    )
    device = model()
    device.bar_write(0, 0x00, 4, 0x30)
    device.bar_write(0, 0x10, 4, 0x51)
    value = device.B[0] if array else device.B
    assert getattr(value, name) == 5
    assert value.replace(**{name: 3}) == 0x31
    assert device.last == 0x51
    (event,) = device.trace.find(write(getattr(model.B, name)))
    assert (event.register, event.value) == ("B[0]" if array else "B", 0x51)
    assert device.trace.find(write(model.B, **{name: 5}, other=1)) == [event]
    assert not device.trace.find(write(model.B, **{name: 4}))
    assert device.trace.find(write(model.B, 0x51)) == [event]
    if array:
        assert device.trace.find(write(model.B[0], 0x51)) == [event]
    assert repr(model.B) == "<Register B at 0x10 of BAR 0>"
    device.reset()
    assert (device.B[0] if array else device.B) == 0x30


def test_a_whole_value_by_its_name() -> None:
    model: Any = define(HEAD + "    A = Register(0x00, fields={'go': 0})\n")
    device = model()
    device.bar_write(0, 0x00, 4, 0x31)
    assert write(model.A, value=0x31) in device.trace
    assert write(model.A, value=0x30) not in device.trace
    assert write(model.A, None, go=1) in device.trace
    assert model.A.value(base=0x40, go=1) == 0x41


def test_a_register_takes_integers_only() -> None:
    device: Any = define(HEAD + "    A = Register(0x00)\n")()
    with pytest.raises(TypeError, match=re.escape("A is a register (model.py:4), whose value is an integer, not 'x'")):
        device.A = "x"


class Causes(Device):
    """Registers that a read clears, one of them in parts only."""

    vendor_id = 1
    bars = (Bar(0x100),)
    MERGED = Register(0x00, access=RC)
    MIXED = Register(0x04, fields={"low": Field(3, 0, RC), "kept": (7, 4), "high": Field(31, 28, RC)})
    WHOLE = Register(0x08, access=RC, partial=Partial.WHOLE)
    REFUSED = Register(0x0C, access=RC, partial=Partial.REFUSE)


@pytest.mark.parametrize(
    ("offset", "size", "seen", "left"),
    [
        (0x00, 1, 0x44, 0x11223300),
        (0x01, 2, 0x2233, 0x11000044),
        (0x03, 1, 0x11, 0x00223344),
        (0x00, 4, 0x11223344, 0),
        (0x04, 1, 0x44, 0x11223340),
        (0x07, 1, 0x11, 0x01223344),
        (0x02, 4, 0x33441122, 0x00003344),
        (0x08, 1, 0x44, 0),
        (0x0C, 2, 0xFFFF, 0x11223344),
    ],
)
def test_a_read_clears_the_bytes_that_it_names(offset: int, size: int, seen: int, left: int) -> None:
    device = Causes()
    device.MERGED = device.MIXED = device.WHOLE = device.REFUSED = 0x11223344
    assert device.bar_read(0, offset, size) == seen
    assert device.peek(offset & ~3) == left
    if offset == 0x02:
        assert device.MIXED == 0x11223340, "the other of the two"
    elif size < 4 and offset < 8:
        rest = device.bar_read(0, offset & ~3, 4)
        assert rest == left, "and what was not read is there still"
