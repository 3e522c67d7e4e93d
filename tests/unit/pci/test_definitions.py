# SPDX-License-Identifier: MIT
"""Models that contradict themselves are refused when they are defined, with the line."""

from __future__ import annotations

import inspect
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
    "negative": ("A = Register(-4)", 4, "is at -0x4"),
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
    "a partial that is a text": (
        "A = Register(0x00, partial='whole')",
        4,
        "has the partial 'whole', which is no Partial",
    ),
    "fields that are a list": ("A = Register(0x00, fields=['x'])", 4, "has the fields ['x'], which is no dictionary"),
    "a field that is a text": ("A = Register(0x00, fields={'x': 'y'})", 4, "a field 'x' that is none: 'y' is no bit"),
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
    "vendor_id = 0x12345": "Model has the vendor_id 0x12345, which does not fit in 16 bits",
    "vendor_id = -1": "Model has the vendor_id -0x1, which does not fit in 16 bits",
    "vendor_id = '0x1234'": "Model has the vendor_id '0x1234', which is no integer",
    "vendor_id = True": "Model has the vendor_id True, which is no integer",
    "class_code = 1 << 24": "Model has the class_code 0x1000000, which does not fit in 24 bits",
    "class_code = None": "Model has the class_code None, which is no integer",
    "interrupt_pin = 5": "Model has the interrupt_pin 5",
    "bars = (Bar(100),)": "Bar has 100 bytes",
    "bars = (Bar(8),)": "Bar has 8 bytes",
    "bars = (Bar(512, io=True),)": "Bar has 512 bytes",
    "bars = (Bar(16, io=True, bits=64),)": "is I/O and 64 bits wide",
    "bars = (Bar(16, bits=16),)": "Bar has 16 bits",
    "bars = (Bar(1 << 32),)": "Bar has 4294967296 bytes",
    "bars = (Bar(1 << 33, bits=64),)": "Bar has 8589934592 bytes",
    "bars = (Bar(16, bits=64), Bar(16))": "Bar is BAR 0, 64 bits wide, and takes number 1, too",
    "bars = (None,) * 5 + (Bar(16, bits=64),)": "Bar is BAR 5, 64 bits wide",
    "bars = (Bar(16),) * 7": "Bar is number 6",
    "bars = (Bar(16, unmapped=7),)": "Bar reads as 7 where nothing is",
    "bars = (Bar(16, sizes=(3,)),)": "Bar takes accesses of (3,) bytes",
    "bars = Bar(64)": "Model has bars without a comma: Bar(size=64",
    "bars = None": "Model has the bars None",
    "bars = (64,)": "Model has 64 in bars, which is no Bar",
    "bars = (Bar('64'),)": "Bar has the size '64', which is no integer",
    "bars = (Bar(64, sizes=4),)": "Bar has the sizes 4, which is no tuple of integers",
    "capabilities = (Msi(vectors=3),)": "Msi has 3 vectors",
    "capabilities = (Msi(bits=16),)": "Msi has an address of 16 bits",
    "capabilities = (Msix(vectors=4096),)": "Msix has 4096 vectors",
    "capabilities = (Msix(table=4),)": "Msix has the table at 0x4",
    "capabilities = (Msix(table=-8),)": "Msix has the table at -0x8",
    "capabilities = (Msix(vectors=8, pending=8),)": "Msix has its pending bits at 0x8, and its table until 0x80",
    "capabilities = (Msix(table=0x10, pending=0x8, vectors=128),)": "Msix has its pending bits at 0x8",
    "capabilities = (Msix(bar=2),)": "Msix is in BAR 2, which has I/O ports",
    "capabilities = (Msix(bar=3),)": "Msix is in BAR 3, which the device does not have",
    "capabilities = (Msix(table=0xf8),)": "Msix ends at",
    "capabilities = (PowerManagement(pme=0x20),)": "PowerManagement has the pme 0x20",
    "capabilities = (Msi(), Msi())": "Msi is there twice",
    "capabilities = (Vendor(bytes(180)), Vendor(bytes(180)))": "Model has capabilities that end at",
    "capabilities = (Vendor(bytes(190)),)": "Vendor has 190 bytes of data",
    "capabilities = (Vendor(b'x', b'xx'),)": "Vendor has the mask b'xx' for 1 bytes",
    "capabilities = (SerialNumber(7),)": "is in the extended configuration space, which only PCI Express has",
    "capabilities = (Express(), SerialNumber(1 << 64))": "SerialNumber has the serial 0x10000000000000000",
    "capabilities = (Express(), AdvancedErrors(), AdvancedErrors())": "AdvancedErrors is there twice",
    "capabilities = (Express(), ExtendedVendor(bytes(3833)))": "ExtendedVendor has 3833 bytes of data",
    "capabilities = (Express(), *(ExtendedVendor(bytes(2000)),) * 2)": "capabilities that end at 0x10b0",
    "capabilities = (Express(), ExtendedVendor(b'x', id=1 << 16))": "ExtendedVendor has the id 0x10000",
    "capabilities = (Express(), ExtendedVendor(b'x', revision=16))": "ExtendedVendor has the revision 0x10",
    "capabilities = (Express(), ExtendedVendor(b'x', writable=b'xx'))": "ExtendedVendor has the mask b'xx' for 1 bytes",
    "capabilities = Msi()": "Model has capabilities without a comma: Msi(vectors=1",
    "capabilities = (Msi,)": "which is no Capability",
    "capabilities = (Vendor('text'),)": "Vendor has the data 'text', which is no bytes",
    "actions = {'flap': 'nothing'}": "Model has the fault flap with the method 'nothing', which there is not",
    "actions = {'flap': None}": "Model has the fault flap with the method None, which there is not",
    "actions = {'flap': 'peek'}": "Model has the fault flap with the method peek, which needs arguments",
    "actions = {'unplug': 'pull'}": "Model has the fault unplug, which is one that all devices have",
    "actions = {'link flap': 'pull'}": "Model has the fault 'link flap', a name that no text of a fault can have",
    "actions = {3: 'pull'}": "Model has the fault 3, a name that no text of a fault can have",
    "actions = ['pull']": "Model has the actions ['pull']",
    "rings = ('transmit',)": "Model has 'transmit' in rings, which is no DescriptorRing",
    "rings = DescriptorRing('jobs', ('A',), 'B', 'C', count=4)": "Model has rings without a comma",
    "rings = (DescriptorRing('jobs', ('A',), 'B', 'C', count=4),)": "the ring jobs names the register 'A'",
    "rings = (DescriptorRing('data', ('A',), 'B', 'C', count=4),)": "the ring data has the name that faults have",
    "rings = (DescriptorRing('jobs', ('A',), 'B', 'C', count=4),) * 2": "the ring jobs has the name of another one",
    "rings = (DescriptorRing('two jobs', ('A',), 'B', 'C', count=4),)": "has the name 'two jobs'",
    "interrupt_mask = 'MASK'": "Model has the interrupt_mask MASK, which is no register of it",
    "interrupt_mask = 3": "Model has the interrupt_mask 3, which is no text",
    "patience = 0": "Model has the patience 0",
    "patience = '5'": "Model has the patience '5'",
    "patience = float('nan')": "Model has the patience nan",
    "clock = 3": "Model has the clock 3",
    "clock = len": "Model has the clock <built-in function len>",
    "clock = Bar": "clock is the class Bar itself",
    "A = Register": "A is the class Register itself",
}
RING = {
    "name": "'jobs'",
    "base": "('LOW', 'HIGH')",
    "head": "'HEAD'",
    "tail": "'TAIL'",
    "length": "'LENGTH'",
    "size": "16",
    "fields": "{'address': (63, 0), 'done': 127}",
    "done": "'done'",
    "buffer": "('address',)",
}
REGISTER = {
    "offset": "0x40",
    "width": "32",
    "reset": "0",
    "access": "RW",
    "fields": "{'go': 0}",
    "bar": "0",
    "partial": "Partial.MERGE",
    "sticky": "False",
}
DECLARATIONS: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "Register": ("A = {}", REGISTER, {"offset"}),
    "RegisterArray": ("A = {}", {**REGISTER, "count": "2", "stride": "8"}, {"offset", "count"}),
    "Memory": ("A = {}", {"offset": "0x40", "size": "16", "bar": "0"}, {"offset", "size"}),
    "Field": ("A = Register(0x40, fields={{'x': {}}})", {"high": "3", "low": "0", "access": "RO"}, {"high"}),
    "Bar": (
        "bars = ({}, None, Bar(0x20))",
        {"size": "0x100", "io": "False", "bits": "32", "prefetchable": "False", "unmapped": "0", "sizes": "(1, 2, 4)"},
        {"size"},
    ),
    "Msi": ("capabilities = ({},)", {"vectors": "1", "bits": "64", "maskable": "False"}, set()),
    "Msix": ("capabilities = ({},)", {"vectors": "1", "bar": "0", "table": "0x80", "pending": "0xc0"}, set()),
    "PowerManagement": ("capabilities = ({},)", {"d1": "0", "d2": "True", "pme": "0x1f", "keeps": "True"}, set()),
    "Express": ("capabilities = ({},)", {"function_reset": "True"}, set()),
    "Vendor": ("capabilities = ({},)", {"data": "b'r4l'", "writable": "b''"}, set()),
    "AdvancedErrors": ("capabilities = (Express(), {})", {"ecrc": "True"}, set()),
    "SerialNumber": ("capabilities = (Express(), {})", {"serial": "0x1234"}, {"serial"}),
    "ExtendedVendor": (
        "capabilities = (Express(), {})",
        {"data": "b'r4l'", "id": "7", "revision": "1", "writable": "b''"},
        set(),
    ),
    "DescriptorRing": ("rings = ({},)", RING, {"name", "base", "head", "tail", "length", "fields"}),
}
RING_REGISTERS = "".join(
    f"    {name} = Register({0xA0 + 4 * number:#x})\n"
    for number, name in enumerate(("LOW", "HIGH", "HEAD", "TAIL", "LENGTH"))
)
WRONG_VALUES = (
    "None",
    "'0x10'",
    "'text'",
    "b'xyzt'",
    "1.5",
    "-1",
    "1 << 70",
    "True",
    "[]",
    "{3: 1}",
    "Bar",
)
OPTIONAL = {"fields": ("None",), "low": ("None",), "access": ("None",), "pending": ("None",)}
"""Values that are none of another type."""
HARMLESS = {
    "bool": ("True",),
    "fields": ("[]",),
    "buffer": ("[]",),
    "name": ("'0x10'", "'text'"),
    "data": ("b'xyzt'",),
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
    assert caught.value.remedy


def refused(source: str) -> DefinitionError:
    """Define a wrong model, and return the error, which names the source's last line and a remedy."""
    with pytest.raises(DefinitionError) as caught:
        define(source)
    assert caught.value.cause.startswith(f"model.py:{source.count(chr(10))}: "), caught.value.cause
    assert caught.value.remedy
    assert "\n" not in caught.value.cause + caught.value.remedy
    return caught.value


@pytest.mark.parametrize("line", OF_THE_CLASS)
def test_contradictory_classes_are_refused_with_the_line(line: str) -> None:
    assert OF_THE_CLASS[line] in refused(f"{HEAD}    {line}\n").cause


def declaration(cls: str, words: dict[str, str], *others: str) -> str:
    """A model whose last line is a declaration with these arguments."""
    form = DECLARATIONS[cls][0]
    arguments = ", ".join([*others, *(f"{name}={value}" for name, value in words.items())])
    return f"{HEAD}{RING_REGISTERS}    {form.format(f'{cls}({arguments})')}\n"


@pytest.mark.parametrize("cls", DECLARATIONS)
def test_a_declaration_without_an_argument_that_it_needs_is_refused(cls: str) -> None:
    _, words, needed = DECLARATIONS[cls]
    assert define(declaration(cls, words))
    for name in words:
        rest = declaration(cls, {one: value for one, value in words.items() if one != name})
        if name in needed:
            error = refused(rest)
            assert name in error.cause + error.remedy
        else:
            assert define(rest)


@pytest.mark.parametrize("cls", DECLARATIONS)
def test_a_declaration_with_an_argument_that_it_does_not_have_is_refused(cls: str) -> None:
    _, words, _ = DECLARATIONS[cls]
    first = next(iter(words))
    mistyped = first[:-1] + "x"
    error = refused(declaration(cls, {**words, mistyped: "8"}))
    assert f"has no argument {mistyped}" in error.cause
    assert first in error.remedy
    assert "without a name" in refused(declaration(cls, {}, *["1"] * 12)).cause
    assert f"{first} twice" in refused(declaration(cls, words, words[first])).cause


@pytest.mark.parametrize("cls", DECLARATIONS)
def test_a_declaration_with_a_value_of_another_type_is_refused(cls: str) -> None:
    """Every argument of every class, with values of types that it does not take."""
    _, words, _ = DECLARATIONS[cls]
    tried = 0
    for name, good in words.items():
        flag = good in ("True", "False") or name in ("d1", "d2")
        fine = HARMLESS["bool"] if flag else HARMLESS.get(name, ())
        if cls in ("Field", "Msix") or name == "fields":
            fine = (*fine, *OPTIONAL.get(name, ()))
        for value in WRONG_VALUES:
            if value not in fine and (cls, name, value) != ("DescriptorRing", "fields", "[]"):
                refused(declaration(cls, {**words, name: value}))
                tried += 1
    assert tried >= 10 * len(words) - 8


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("A = RegisterArray(0x10)", "write RegisterArray(offset, count=…)"),
        ("A = RegisterArray(0x10, 32, 4)", "write the others by name: count, stride, reset"),
        ("A = Register('0x10')", "write it without quotes: offset=0x10"),
        ("A = Register(0x10, acess=RO)", "write access"),
        ("A = Register(0x10, access='rw')", "give one of RO, RW, WO, RC, W1C, W1S"),
        ("A = Register(0x10, partial=True)", "give one of Partial.MERGE, Partial.WHOLE, Partial.REFUSE"),
        ("A = Register(0x12)", "align it: 0x10 is one"),
        ("bars = (Bar(64, sizes=4),)", "write it with a comma: sizes=(4,)"),
        ("rings = (DescriptorRing('jobs', 'LOW', 'A', 'B', count=4),)", "write it with a comma: base=('LOW',)"),
        ("rings = (DescriptorRing('jobs', (Register(0),), 'A', 'B', count=4),)", "give the name in quotes"),
        ("bars = Bar(64)", "write bars = (Bar(…),)"),
        ("vendor_id = '0x1234'", "write it without quotes: vendor_id=0x1234"),
    ],
)
def test_the_remedy_is_what_to_write(line: str, remedy: str) -> None:
    assert remedy in refused(f"{HEAD}    {line}\n").remedy


def test_a_mistake_in_an_inherited_attribute_has_its_own_line() -> None:
    source = f"{HEAD}    capabilities = (Msix(vectors=8),)\nclass Other(Model):\n    pass\n    bars = (Bar(0x40),)\n"
    with pytest.raises(DefinitionError, match=re.escape("model.py:4: Msix ends at 0x88, and BAR 0 has 0x40 bytes")):
        define(source)
    mixin = "class Mixin:\n    patience = 0\n\nclass Model(Mixin, Device):\n    vendor_id = 1\n"
    with pytest.raises(DefinitionError, match=re.escape("model.py:4: Model has the patience 0")):
        define(mixin)


def test_a_declaration_has_the_signature_of_its_class() -> None:
    """Editors and help() show the arguments, though a call goes through the type of the class."""
    assert list(inspect.signature(pci.RegisterArray).parameters)[:4] == ["offset", "width", "count", "stride"]
    assert list(inspect.signature(Bar).parameters)[:2] == ["size", "io"]


def test_a_capability_of_the_author_s_own_is_checked_like_others() -> None:
    source = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Own(Capability):
    value: int
    number = 0x0d
    short = "OWN"
    registers = (("VALUE", 2, 2),)
    def body(self):
        return self.value.to_bytes(2, "little"), bytes(2)
class Model(Device):
    vendor_id = 1
    capabilities = (Own(VALUE),)
"""
    model = define(source.replace("VALUE)", "0x1234)"))
    assert model().config.word(0x42) == 0x1234
    with pytest.raises(DefinitionError, match=r"model\.py:13: Own has the value '0x1234', which is no integer"):
        define(source.replace("VALUE)", "'0x1234')"))
    with pytest.raises(DefinitionError, match=re.escape("model.py:13: Own has no value")):
        define(source.replace("VALUE)", ")"))


CALLS = {
    "self.after(1, self.step(0, 0))": "after takes seconds and a method, not 1 and None: without parentheses",
    "self.after('1', self.reset)": "after takes seconds and a method, not '1'",
    "self.after(-1, self.reset)": "after takes seconds from 0 on, not -1",
    "self.after(float('nan'), self.reset)": "after takes seconds from 0 on, not nan",
    "self.raise_irq('0')": "raise_irq takes the number of a vector, not '0'",
    "self.raise_irq(-1)": "raise_irq takes the number of a vector from 0 on, not -1",
    "self.dma.read('0x1000', 4)": "DMA takes an address and a number of bytes, not '0x1000' and 4",
    "self.dma.read(0x1000, None)": "DMA takes an address and a number of bytes, not 4096 and None",
    "self.dma.read(0x1000, -4)": "DMA at 0x1000 of -4 bytes",
    "self.dma.write(0x1000, 'text')": "DMA writes bytes, not 'text'",
    "self.dma.write(None, b'text')": "DMA takes an address and a number of bytes, not None and 4",
    "self.dma.write(0x1000, 4)": "DMA writes bytes, not 4",
    "self.dma.pack('<I', 0x1000, 'x')": "required argument is not an integer",
    "self.A = '5'": "A is a register",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_method_that_calls_with_wrong_arguments_is_the_model_s_error_with_its_line(call: str) -> None:
    model = define(
        f"{HEAD}    A = Register(0x00)\n    B = Register(0x04)\n    @B.on_write\n    def go(self, old, new):\n"
        f"        {call}\n    @A.on_write\n    def step(self, old, new): pass\n"
    )
    device = model()
    device.may_master = True
    device.bar_write(0, 4, 4, 1)
    (error,) = device.errors
    assert CALLS[call] in error.cause
    assert "(/somewhere/model.py:8)" in error.cause


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
