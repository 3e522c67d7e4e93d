# SPDX-License-Identifier: MIT
"""Names of a model that are r4l's own: refused with the line, and in the document."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from tests.unit.pci.sources import HEAD, define

from r4l.errors import BootError
from r4l.net import Cable, Wire
from r4l.pci import DefinitionError, Device, NetworkCard, names
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.edu import Edu

DOCS = Path(__file__).parents[3] / "docs"
CARD = HEAD.replace("(Device)", "(NetworkCard)")
MANY = "".join(f"    self.a{number} = {number}\n" for number in range(300))
"""Assignments of which the last have indices that do not fit in one byte of an instruction."""
OF_METHODS = {
    "plain": "def start(self):\n    self.running = True",
    "two at once": "def start(self):\n    self.running = self.state = True",
    "the other first": "def start(self):\n    self.state = self.running = True",
    "of a variable": "def start(self, value):\n    self.running = value",
    "unpacked": "def start(self, value):\n    state, self.running = value",
    "exchanged": "def start(self, value):\n    self.running, self.state = self.state, value",
    "augmented": "def start(self):\n    self.running += 1",
    "augmented by a variable": "def start(self, value):\n    self.running -= value",
    "augmented by a call": "def start(self):\n    self.running |= self.count(self.state)",
    "annotated": "def start(self):\n    self.running: bool = True",
    "deleted": "def start(self):\n    del self.running",
    "a loop": "def start(self):\n    for self.running in (1, 2): pass",
    "a comprehension": "def start(self):\n    return [0 for self.running in (1, 2)]",
    "with": "def start(self):\n    with open('x') as self.running: pass",
    "a function inside": "def start(self):\n    def later():\n        self.running = True\n    self.after(1, later)",
    "a function with two levels": (
        "def start(self):\n    return lambda: [setattr] or (lambda: [0 for self.running in ()])()"
    ),
    "another name of self": "def start(device):\n    device.running = True",
    "by position only": "def start(self, /, *rest):\n    self.running = rest",
    "a property": "@property\ndef state(self):\n    self.running = True",
    "a property that is set": "state = property(None, lambda self, value: [0 for self.running in ()])",
    "a cached property": "@__import__('functools').cached_property\ndef state(self):\n    self.running = True",
    "below a decorator": "@__import__('functools').lru_cache\ndef start(self):\n    self.running = True",
    "a partial method": (
        "start = __import__('functools').partialmethod(lambda self, value: [0 for self.running in ()], 3)"
    ),
    "many attributes": f"def start(self):\n{MANY}    self.running = True",
}
HARMLESS = {
    "of another object": "def start(self, other):\n    other.running = True\n    self.other.running = other.running",
    "a read": "def start(self):\n    return self.running, self.trace.config, self.present",
    "a variable": "def start(self):\n    running = errors = address = 1\n    return running + errors + address",
    "of a part of r4l": "def start(self):\n    self.trace.config = self.dma.named = True\n    self.config['x'] = 1",
    "a class inside": "class State:\n    def __init__(self):\n        self.running = True\n    def reset(self): pass",
    "a class in a method": (
        "def start(self):\n    class State:\n        def reset(self):\n            self.running = 1\n    return State"
    ),
    "a static method": "@staticmethod\ndef start(state):\n    state.running = True",
    "settings": "patience = None\ndef __init__(self):\n    self.patience, self.interrupt_mask = self.mac = 3.0, ''",
    "hooks": "def on_reset(self, reason): pass\ndef on_plug(self, *rest): pass\ndef on_unplug(self): pass",
    "a hook of the instance": "def __init__(self):\n    self.on_plug = self.state",
    "annotations": "running: tuple\nlayout: object",
    "Python's own": "def __repr__(self): return ''\ndef __eq__(self, other): return self is other\n__hash__ = None",
    "a copy": "def start(self):\n    (me := self).state = 3\n    me.count += 1",
}


def body(text: str, head: str = HEAD) -> str:
    """A model with some lines in its class."""
    return head + "".join(f"    {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("case", OF_METHODS)
def test_an_attribute_of_r4ls_own_that_a_method_sets_is_refused_with_the_line(case: str) -> None:
    source = body(OF_METHODS[case])
    with pytest.raises(DefinitionError, match=r"Model sets self\.running, which is Device's own") as caught:
        define(source)
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "running" in text)
    assert caught.value.cause.startswith(f"model.py:{line}: ")
    assert caught.value.remedy == "rename it"


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_a_models_own_is_accepted(case: str) -> None:
    assert define(body(HARMLESS[case]))


@pytest.mark.parametrize("name", sorted(names.taken(Device)))
def test_no_name_of_a_devices_own_is_defined_or_set(name: str) -> None:
    for text, line in (
        (f"def {name}(self): pass", 4),
        (f"\n{name} = 3", 5),
        (f"{name} = Register(0x40)", 4),
        (f"{name} = Memory(0x40, 4)", 4),
        (f"{name} = property(lambda self: 3)", 4),
        (f"def start(self):\n    self.{name} = 0", 5),
    ):
        with pytest.raises(DefinitionError, match=re.escape(name)) as caught:
            define(body(text))
        assert caught.value.cause.startswith(f"model.py:{line}: "), caught.value.cause
        assert "Device" in caught.value.cause
        assert caught.value.remedy.startswith("rename it")


@pytest.mark.parametrize("name", sorted(names.taken(NetworkCard) - names.taken(Device)))
def test_a_name_of_network_cards_is_free_for_other_devices(name: str) -> None:
    for text in (f"{name} = 3", f"def start(self):\n    self.{name} = 3"):
        assert define(body(text))
        with pytest.raises(DefinitionError, match=rf"{name}, which is NetworkCard's own"):
            define(body(text, CARD))


def test_all_that_instances_have_is_taken() -> None:
    """The check reads r4l's own classes in the same way, so it misses nothing that they set."""
    assert vars(define(HEAD)()).keys() <= names.taken(Device)
    assert vars(define(CARD)()).keys() - names.taken(NetworkCard) == {"mac"}


@pytest.mark.parametrize("text", ["running = 3", "def start(self):\n    self.running = 3"])
def test_classes_of_others_are_looked_at_too(text: str) -> None:
    """A class beside the device, one that inherits from a model, and one that becomes a network card's."""
    beside = body(text, "class Beside:\n    pass\n\n") + "class Model(Beside, Device):\n    vendor_id = 1\n"
    with pytest.raises(DefinitionError, match=r"model.py:[45]: Model (sets self\.|defines )running") as caught:
        define(beside)
    assert "Device's own" in caught.value.cause
    with pytest.raises(DefinitionError, match=r"model.py:[56]: Last (sets self\.|defines )running"):
        define(HEAD + body(text, "class Last(Model):\n"))
    other = text.replace("running", "wire")
    becomes = body(other) + "class Card(Model, NetworkCard):\n    pass\n"
    with pytest.raises(DefinitionError, match=r"Card (sets self\.|defines )wire, which is NetworkCard's own"):
        define(becomes)


def test_a_class_beside_that_does_not_come_first_replaces_nothing() -> None:
    assert define("class Beside:\n    reset = 3\n\nclass Model(Device, Beside):\n    vendor_id = 1\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def on_reset(self): pass", "Model.on_reset cannot be called: too many positional arguments"),
        ("def on_plug(self, machine): pass", "Model.on_plug cannot be called: missing a required argument: 'machine'"),
        ("on_unplug = 3", "Model.on_unplug cannot be called: 3 is not a callable object"),
        ("on_plug = Register(0x40)", "on_plug has the name of a method that r4l calls"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)) as caught:
        define(body(text))
    assert caught.value.cause.startswith("model.py:4: ")


@pytest.mark.parametrize("name", sorted(names.FIXED))
def test_what_each_device_is_made_from_is_not_set_by_a_method(name: str) -> None:
    """It had no effect, or the device was dead: capabilities are those of the class."""
    with pytest.raises(DefinitionError, match=f"sets self.{name}, which belongs in the class") as caught:
        define(body(f"def __init__(self):\n    self.{name} = 1"))
    assert caught.value.cause.startswith("model.py:5: ")
    assert caught.value.remedy == f"write {name} = … in the class"


def test_a_remedy_names_the_method_that_may_have_been_meant() -> None:
    with pytest.raises(DefinitionError) as caught:
        define(body("def reset(self): pass"))
    assert caught.value.remedy == "rename it; what a reset does is on_reset(self, reason)"


def test_r4ls_own_models_go_on_and_so_do_models_made_of_them() -> None:
    for model in (E1000, Edu):
        assert type("Model", (model,), {"device_id": 5})()
    with pytest.raises(DefinitionError, match="defines reset, which is Device's own"):
        type("Model", (E1000,), {"reset": None})


def test_the_document_names_what_is_taken() -> None:
    """Mend it by `python docs/devices.py`."""
    found = runpy.run_path(str(DOCS / "devices.py"))
    text = (DOCS / "devices.md").read_text(encoding="utf-8")
    assert found["page"]() == text
    section = found["SECTION"].search(text)[0]
    lists = [set(one.split()[1:-1]) for one in found["LIST"].findall(section)]
    assert lists == [names.taken(Device), names.taken(NetworkCard) - names.taken(Device)]


class Forgetful(NetworkCard):
    """A card whose methods leave out what the cable needs."""

    vendor_id = 0x1234

    def on_plug(self) -> None:
        self.had = self.wire

    def on_unplug(self) -> None:
        self.send_frame(bytes(60))

    def receive(self, frame: bytes) -> None:
        self.frame = frame


def test_a_card_has_its_cable_whatever_its_own_methods_do() -> None:
    card = Forgetful()
    card.plugged()
    assert isinstance(card.wire, Wire)
    assert card.had is card.wire
    card.unplugged()
    with pytest.raises(BootError, match="the VM at the other end of the wire has ended"):
        card.wire.send(bytes(60))


def test_a_card_without_a_cable() -> None:
    class Bare(Forgetful):
        def make_cable(self) -> Cable | None:
            return None

    card = Bare()
    card.plugged()
    assert (card.wire, card.line_is_full) == (None, False)
    card.unplugged()
    assert not card.errors
