# SPDX-License-Identifier: MIT
"""Arguments of a model's declarations: missing, unknown, or of another type, and refused with the line."""

from __future__ import annotations

import inspect
import re

import pytest
from tests.unit.pci.sources import HEAD, define, refused

from r4l import pci
from r4l.pci import Bar, DefinitionError

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
