# SPDX-License-Identifier: MIT
"""The order in which the modules of a folder are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module import BuiltModule
from r4l.module.order import in_load_order


def built(name: str, depends: str = "", *softdep: str) -> BuiltModule:
    """A module of that name with what its .modinfo says."""
    module = BuiltModule(Path(f"/{name}.ko"))
    module.__dict__["modinfo"] = {"name": [name], "depends": [depends], "softdep": list(softdep)}
    return module


def order(*modules: BuiltModule) -> str:
    """The names in the order in which they are loaded."""
    return " ".join(module.path.stem for module in in_load_order(modules))


@pytest.mark.parametrize(
    ("modules", "wanted"),
    [
        ((built("b"), built("a"), built("c")), "b a c"),
        ((built("b", "a"), built("a")), "a b"),
        ((built("a", "b"), built("b", "c"), built("x"), built("c")), "c b a x"),
        ((built("a", "usbcore,b"), built("b", "crc-ccitt")), "b a"),
        ((built("a", "with-dash"), built("with_dash")), "with_dash a"),
        ((built("a", "", "pre: b c"), built("c"), built("b")), "b c a"),
        ((built("a", "", "post: c"), built("c"), built("b")), "a c b"),
        ((built("c"), built("a", "", "pre: x post: c"), built("b")), "a c b"),
        ((built("a", "", "pre: b"), built("b", "a")), "a b"),
        ((built("b", "", "pre: c"), built("c", "", "pre: a"), built("a", "b")), "c b a"),
        ((built("a", "b"), built("b", "a")), "b a"),
        ((built("a", "", "pre: a"), built("b", "", "pre: c"), built("c", "", "pre: b")), "a c b"),
    ],
)
def test_each_comes_after_what_it_needs(modules: tuple[BuiltModule, ...], wanted: str) -> None:
    assert order(*modules) == wanted


def test_many_that_all_need_each_other() -> None:
    many = [built(f"m{number}", ",".join(f"m{lower}" for lower in range(number))) for number in range(60)]
    assert order(*reversed(many)) == " ".join(module.path.stem for module in many)


def test_what_a_module_needs_is_all_of_it_in_order() -> None:
    loaded = in_load_order([built("a", "b,d"), built("d", "c"), built("b", "c"), built("c"), built("e", "", "post: c")])
    needs = {module.path.stem: [other.path.stem for other in module.needs] for module in loaded}
    assert needs == {"e": [], "c": [], "b": ["c"], "d": ["c"], "a": ["c", "b", "d"]}


def test_many_in_a_row() -> None:
    """Regression: a folder with 1,000 modules, each of which needs the next one, was an internal error."""
    many = [built(f"m{number}", f"m{number - 1}") for number in range(1500)]
    assert order(*reversed(many)) == " ".join(module.path.stem for module in many)
