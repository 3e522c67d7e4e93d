# SPDX-License-Identifier: MIT
"""Models that contradict themselves are refused when they are defined, with the line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from r4l import pci
from r4l.pci import (
    RC,
    RO,
    RW,
    W1C,
    Bar,
    DefinitionError,
    Device,
    Express,
    Field,
    Msi,
    Msix,
    PowerManagement,
    Register,
    Vendor,
    Word,
    write,
)

HEAD = "class Model(Device):\n    vendor_id = 0x1234\n    bars = (Bar(0x100), None, Bar(0x20, io=True))\n"
WRONG = {
    "overlap": ("A = Register(0x00)\nB = Register(0x02, 16)", 5, "B at 0x2 overlaps A at 0x0"),
    "the same place": ("A = Register(0x10)\nB = Register(0x10)", 5, "B at 0x10 overlaps A"),
    "overlap, the later one first": ("A = Register(0x04, 8)\nB = Register(0x00, 64)", 5, "B at 0x0 overlaps A at 0x4"),
    "overlap in an array": ("A = RegisterArray(0x00, count=4)\nB = Register(0x0c)", 5, "B at 0xc overlaps A"),
    "overlap of strides": ("A = RegisterArray(0x00, count=4, stride=8)\nB = Register(0x08)", 5, "B at 0x8 overlaps A"),
    "overlap of memory": ("A = Memory(0x00, 16)\nB = Register(0x0c)", 5, "B at 0xc overlaps A"),
    "outside": ("A = Register(0x100)", 4, "A ends at 0x104, and BAR 0 has 0x100 bytes"),
    "outside, an array": ("A = RegisterArray(0xf8, count=3)", 4, "A ends at 0x104"),
    "outside of another BAR": ("A = Register(0x20, bar=2)", 4, "BAR 2 has 0x20 bytes"),
    "no such BAR": ("A = Register(0x00, bar=1)", 4, "A is in BAR 1, which the device does not have"),
    "misaligned": ("A = Register(0x02)", 4, "is at 0x2, which is no multiple of its 4 bytes"),
    "misaligned stride": ("A = RegisterArray(0x00, count=2, stride=6)", 4, "6 bytes from one to the next"),
    "width": ("A = Register(0x00, 24)", 4, "is 24 bits wide"),
    "twice": ("A = Register(0x00)\nA = Register(0x04)", 5, "A is declared a second time, after model.py:4"),
    "a method of its name": ("A = Register(0x00)\ndef A(self): pass", 5, "A is declared a second time"),
    "reset value": ("A = Register(0x00, 8, reset=0x100)", 4, "reset value 0x100 that does not fit in 8 bits"),
    "field outside": ("A = Register(0x00, fields={'x': 32})", 4, "a field x of the bits 32:32"),
    "field upside down": ("A = Register(0x00, fields={'x': (3, 4)})", 4, "a field x of the bits 3:4"),
    "fields that share": (
        "A = Register(0x00, fields={'x': (3, 0), 'y': 3})",
        4,
        "the fields x and y, which share bits",
    ),
    "field's name": ("A = Register(0x00, fields={'bit_length': 0})", 4, "a field 'bit_length'"),
    "access": ("A = Register(0x00, access=RO | RW)", 4, "which excludes itself"),
    "access of a field": (
        "A = Register(0x00, fields={'x': Field(3, 0, W1C | W1S)})",
        4,
        "has in its field x the access",
    ),
    "the name of an attribute": ("trace = Register(0x00)", 4, "trace has the name of an attribute of Device"),
    "the name of a method": ("reset = Register(0x00)", 4, "reset has the name of an attribute of Device"),
    "memory with the name of an attribute": ("dma = Memory(0x00, 16)", 4, "dma has the name of an attribute"),
    "an array with the name of an attribute": ("now = RegisterArray(0, count=2)", 4, "now has the name of an attr"),
    "two methods": (
        "A = Register(0x00)\n@A.on_write\ndef f(self, old, new): pass\n@A.on_write\ndef g(self, old, new): pass",
        7,
        "g is a second method for the same event, beside f",
    ),
    "two methods of a name": (
        "A = Register(0x00)\nB = Register(0x04)\n@A.on_write\ndef f(self, old, new): pass\n@B.on_write\n"
        "def f(self, old, new): pass",
        9,
        "f is a second method of that name",
    ),
    "one register for two names": ("A = B = Register(0x00)", 4, "B is declared under two names"),
    "negative": ("A = Register(-4)", 4, "is at -0x4, which is no multiple"),
    "no register in an array": ("A = RegisterArray(0x00, count=0)", 4, "is an array of 0"),
    "no memory": ("A = Memory(0x00, 0)", 4, "has 0 bytes at 0x0"),
    "memory outside": ("A = Memory(0xfe, 4)", 4, "A ends at 0x102, and BAR 0 has 0x100 bytes"),
    "an offset that is a text": ("A = Register('0x00')", 4, "has the offset '0x00', which is no integer"),
    "an offset that is a fraction": ("A = Register(0.0)", 4, "has the offset 0.0, which is no integer"),
    "a width that is a text": ("A = Register(0x00, '32')", 4, "has the width '32', which is no integer"),
    "a width that is none": ("A = RegisterArray(0x00, None, count=2)", 4, "has the width None, which is no integer"),
    "a reset value that is a fraction": ("A = Register(0x00, reset=1.5)", 4, "has the reset 1.5, which is no integer"),
    "a BAR that is a text": ("A = Register(0x00, bar='0')", 4, "has the bar '0', which is no integer"),
    "a count that is a text": ("A = RegisterArray(0x00, count='3')", 4, "has the count '3', which is no integer"),
    "a size that is a text": ("A = Memory(0x00, '4')", 4, "has the size '4', which is no integer"),
    "an access that is a text": ("A = Register(0x00, access='rw')", 4, "has the access 'rw'"),
    "a partial that is a text": ("A = Register(0x00, partial='whole')", 4, "has partial='whole'"),
    "fields that are a list": ("A = Register(0x00, fields=['x'])", 4, "has fields ['x']"),
    "a field that is a text": ("A = Register(0x00, fields={'x': 'y'})", 4, "a field that is none: 'y' is no bit"),
    "a field of three bits": ("A = Register(0x00, fields={'x': (3, 2, 1)})", 4, "(3, 2, 1) is no bit, and no two"),
    "a method with too few arguments": (
        "A = Register(0x00)\n@A.on_write\ndef f(self, new): pass",
        5,
        "f cannot be called for A",
    ),
    "a method without self": ("A = Register(0x00)\n@A.on_read\ndef f(): pass", 5, "f cannot be called for A"),
    "a method with too many arguments": (
        "A = Register(0x00)\n@A.on_read\ndef f(self, old, new): pass",
        5,
        "f cannot be called for A: missing a required argument: 'new'",
    ),
    "a method without the index": (
        "A = RegisterArray(0x00, count=2)\n@A.on_write\ndef f(self, old, new): pass",
        5,
        "f cannot be called for A",
    ),
    "a generator": (
        "A = Register(0x00)\n@A.on_read\ndef f(self, value): yield 3",
        5,
        "f is a generator or a coroutine",
    ),
    "a coroutine": (
        "A = Register(0x00)\n@A.on_write\nasync def f(self, old, new): pass",
        5,
        "f is a generator or a coroutine",
    ),
    "a static method": (
        "A = Register(0x00)\n@A.on_write\n@staticmethod\ndef f(old, new): pass",
        4,
        "for its side effect",
    ),
    "no method": ("A = Register(0x00)\nf = A.on_write(3)", 4, "is given 3 for its side effect"),
    "a function without a name": ("A = Register(0x00)\nf = A.on_read(lambda self, value: 3)", 4, "for its side effect"),
    "a method under another name": (
        "A = Register(0x00)\n@A.on_read\ndef f(self, value): return 3\ng = f\ndel f",
        4,
        "A has the method f for its side effect, which is not in the class",
    ),
}
OF_THE_CLASS = {
    "vendor_id = 0x12345": "vendor_id 0x12345 does not fit in 16 bits",
    "class_code = 1 << 24": "class_code 0x1000000 does not fit in 24 bits",
    "bars = (Bar(100),)": "BAR 0 has 100 bytes",
    "bars = (Bar(8),)": "BAR 0 has 8 bytes",
    "bars = (Bar(512, io=True),)": "BAR 0 has 512 bytes",
    "bars = (Bar(16, io=True, bits=64),)": "is I/O and 64 bits wide",
    "bars = (Bar(16, bits=16),)": "BAR 0 has 16 bits",
    "bars = (Bar(1 << 32),)": "a power of two from 16 to 2147483648",
    "bars = (Bar(1 << 33, bits=64),)": "a power of two from 16 to 4294967296",
    "bars = (Bar(16, bits=64), Bar(16))": "BAR 0 is 64 bits wide and takes number 1",
    "bars = (None,) * 5 + (Bar(16, bits=64),)": "BAR 5 is 64 bits wide",
    "bars = (Bar(16),) * 7": "there is no BAR 6",
    "bars = (Bar(16, unmapped=7),)": "neither 0x00 nor 0xff",
    "bars = (Bar(16, sizes=(3,)),)": "accesses of",
    "interrupt_pin = 5": "interrupt_pin is 5",
    "capabilities = (Msi(vectors=3),)": "MSI with 3 vectors",
    "capabilities = (Msix(vectors=4096),)": "MSI-X with 4096 vectors",
    "capabilities = (Msix(table=4),)": "multiples of 8",
    "capabilities = (Msix(vectors=8, pending=8),)": "its pending bits at 0x8 overlap its table, which ends at 0x80",
    "capabilities = (Msix(table=0x10, pending=0x8, vectors=128),)": "its pending bits at 0x8 overlap its table",
    "capabilities = (Msix(table=-8),)": "multiples of 8",
    "capabilities = (Msix(bar=2),)": "MSI-X is in BAR 2, which has I/O ports",
    "capabilities = (Msix(bar=3),)": "MSI-X is in BAR 3, which the device does not have",
    "capabilities = (Msix(table=0xf8),)": "MSI-X ends at",
    "capabilities = (Msi(), Msi())": "a capability is there twice",
    "capabilities = (Vendor(bytes(180)), Vendor(bytes(180)))": "the capabilities end at",
    "actions = {'flap': 'nothing'}": "the fault flap is the method nothing",
    "actions = {'unplug': 'pull'}": "the fault unplug is one that all devices have",
    "actions = {'link flap': 'pull'}": "the fault 'link flap' has a name that no text of a fault can have",
    "actions = ['pull']": "actions is ['pull']",
    "vendor_id = '0x1234'": "vendor_id is '0x1234', which is no integer",
    "class_code = None": "class_code is None, which is no integer",
    "bars = Bar(64)": "bars is Bar(size=64",
    "bars = (64,)": "bars has 64, which is no Bar",
    "bars = (Bar('64'),)": "is of a wrong type: ",
    "bars = (Bar(64, sizes=4),)": "is of a wrong type: ",
    "capabilities = Msi()": "capabilities is Msi(vectors=1",
    "capabilities = (Msi,)": "which is no Capability",
    "capabilities = (Vendor('text'),)": "is of a wrong type: ",
    "rings = ('transmit',)": "rings has 'transmit', which is no DescriptorRing",
    "interrupt_mask = 'MASK'": "interrupt_mask names the register MASK",
    "patience = 0": "patience is 0",
    "patience = '5'": "patience is '5'",
    "clock = 3": "clock is 3",
}


def define(source: str) -> type[Device]:
    """Run a model's source as the file model.py."""
    names = {name: getattr(pci, name) for name in pci.__all__}
    exec(compile(source, "/somewhere/model.py", "exec"), names)
    model: type[Device] = names["Model"]
    return model


@pytest.mark.parametrize("case", WRONG)
def test_contradictory_registers_are_refused_with_the_line(case: str) -> None:
    body, line, said = WRONG[case]
    source = HEAD + "".join(f"    {text}\n" for text in body.splitlines())
    with pytest.raises(DefinitionError, match=re.escape(said)) as caught:
        define(source)
    assert caught.value.cause.startswith(f"model.py:{line}: "), caught.value.cause


@pytest.mark.parametrize("line", OF_THE_CLASS)
def test_contradictory_classes_are_refused(line: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(OF_THE_CLASS[line])) as caught:
        define(f"{HEAD}    {line}\n")
    assert caught.value.cause.startswith("model.py:1: Model: ")


def test_a_table_of_msix_and_registers_do_not_share_a_place() -> None:
    with pytest.raises(DefinitionError, match="A at 0x8 overlaps the table of MSI-X"):
        define(HEAD + "    capabilities = (Msix(),)\n    A = Register(0x08)\n")
    assert define(HEAD + "    capabilities = (Msix(),)\n    A = Register(0x20)\n")


def test_a_model_without_a_vendor_makes_no_device() -> None:
    model = define("class Model(Device):\n    pass\n")
    with pytest.raises(DefinitionError, match="no vendor_id"):
        model()


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


def test_every_capability_is_found_by_its_pointer() -> None:
    class Model(Device):
        vendor_id = 0x1234
        bars = (Bar(0x1000, bits=64, prefetchable=True),)
        capabilities = (PowerManagement(), Msi(vectors=4, maskable=True), Express(), Msix(vectors=3), Vendor(b"r4l"))

    data = Model().config.data
    found, place = [], data[0x34]
    while place:
        found.append((data[place], place))
        place = data[place + 1]
    assert [number for number, _ in found] == [0x01, 0x05, 0x10, 0x11, 0x09]
    assert all(place % 4 == 0 for _, place in found)
    assert data[0x06] & 0x10, "Status says that there is a list"
    assert data[0x10] == 0x0C, "64 bits wide, prefetchable"
    msix = dict(found)[0x11]
    assert int.from_bytes(data[msix + 2 : msix + 4], "little") == 2, "three vectors"


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
reset size mask count width access free bar name value text base what offset word owner slot place wrong
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
