# SPDX-License-Identifier: MIT
"""Models that contradict themselves are refused when they are defined, with the line."""

from __future__ import annotations

import re

import pytest
from tests.unit.pci.sources import HEAD, define, refused

from r4l.pci import DefinitionError

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


@pytest.mark.parametrize("case", WRONG)
def test_contradictory_registers_are_refused_with_the_line(case: str) -> None:
    body, line, said = WRONG[case]
    source = HEAD + "".join(f"    {text}\n" for text in body.splitlines())
    with pytest.raises(DefinitionError, match=re.escape(said)) as caught:
        define(source)
    assert caught.value.cause.startswith(f"model.py:{line}: "), caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize("line", OF_THE_CLASS)
def test_contradictory_classes_are_refused_with_the_line(line: str) -> None:
    assert OF_THE_CLASS[line] in refused(f"{HEAD}    {line}\n").cause


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


def test_a_table_of_msix_and_registers_do_not_share_a_place() -> None:
    with pytest.raises(DefinitionError, match="A at 0x8 overlaps the table of MSI-X"):
        define(HEAD + "    capabilities = (Msix(),)\n    A = Register(0x08)\n")
    assert define(HEAD + "    capabilities = (Msix(),)\n    A = Register(0x20)\n")


def test_a_model_without_a_vendor_makes_no_device() -> None:
    model = define("class Model(Device):\n    pass\n")
    with pytest.raises(DefinitionError, match="no vendor_id"):
        model()
