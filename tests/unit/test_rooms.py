# SPDX-License-Identifier: MIT
"""The rooms of src/r4l import from their left or from below, without circles, and the documents show them so."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from docs import rooms

from r4l import tables


def test_each_room_imports_from_those_before_it() -> None:
    assert rooms.against_the_order(rooms.imports()) == []


def test_no_files_import_each_other() -> None:
    assert rooms.circles(rooms.imports()) == []


def test_the_table_has_its_shape() -> None:
    tables.check(rooms.table(), {"ground": [str], "columns": [[str]]}, "docs/rooms.toml")


def test_the_order_names_each_room_once() -> None:
    order = rooms.order()
    assert len(set(order)) == len(order)
    there = {name.split(".")[0] for name in rooms.modules()}
    assert there == {room.split(".")[0] for room in order}
    assert all(room in rooms.modules() for room in order)


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("module.shipped", "from r4l.vm import VM", "the room vm comes after module"),
        ("kernel.model", "def f():\n    from r4l import camp", "the room camp comes after kernel"),
        ("camp.rows", "import r4l.camp.labs.lab", "the room camp comes after camp.rows"),
        ("errors", "if TYPE_CHECKING:\n    from r4l.home import lock", "the room home comes after errors"),
        ("net.nic", "from ..vm import VM", "the room vm comes after net"),
        ("net", "from ..vm import VM", "the room vm comes after net"),
        ("net", "from .. import vm", "the room vm comes after net"),
        ("home", "from . import vm", "the room vm comes after home"),
        ("net.nic", "import importlib\nimportlib.import_module('r4l.vm.qmp')", "the room vm comes after net"),
        ("net.nic", "import_module(f'r4l.vm.{name}')", "the room vm comes after net"),
        ("net.nic", "__import__('r4l.vm')", "the room vm comes after net"),
        ("garage", "import r4l.home", "garage is not in docs/rooms.toml"),
    ],
)
def test_what_is_against_the_order_is_said(module: str, line: str, said: str) -> None:
    (fault,) = rooms.against_the_order(tuple(rooms.imports_in(module, line)))
    assert said in fault
    assert fault.startswith(f"{module}:")


@pytest.mark.parametrize(
    "line", ["from . import cable", "from .cable import Cable", "import_module(name)", "from . import x"]
)
def test_imports_within_a_room_are_none_of_another(line: str) -> None:
    assert rooms.against_the_order(tuple(rooms.imports_in("net.nic", line))) == []


def test_circles_are_said() -> None:
    found = [
        *rooms.imports_in("vm.qmp", "from r4l.vm import console"),
        *rooms.imports_in("vm.console", "def f():\n    import r4l.vm.qemu"),
        *rooms.imports_in("vm.qemu", "from r4l.vm.qmp import Monitor"),
        *rooms.imports_in("vm.boot", "if TYPE_CHECKING:\n    from r4l.vm import oops"),
        *rooms.imports_in("vm.oops", "from r4l.vm import boot"),
    ]
    assert rooms.circles(tuple(found)) == ["vm.console ⇄ vm.qemu ⇄ vm.qmp"]


def test_the_documents_show_the_present_rooms() -> None:
    """Mend it by `python docs/rooms.py`."""
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.picture()
    text = rooms.MAP.read_text(encoding="utf-8")
    assert text == rooms.with_words(text)


def test_the_picture_has_all_rooms_and_no_arrow_to_the_right() -> None:
    picture = ET.fromstring(rooms.picture())
    texts = {node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert texts == set(rooms.order())
    place = {room: number for number, room in enumerate(rooms.order())}
    assert rooms.arrows()
    assert all(place[other] < place[room] for room, other in rooms.arrows())


def test_the_map_describes_each_room() -> None:
    text = rooms.MAP.read_text(encoding="utf-8")
    described = set(re.findall(r"`([\w/]+?)(?:/|\.py)`", "\n".join(re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE))))
    assert {room.replace(".", "/") for room in rooms.order()} - {rooms.PUBLIC} <= described
