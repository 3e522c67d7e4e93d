# SPDX-License-Identifier: MIT
"""The back ends: one file each, each with a row in the documentation, and none named in other code."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import r4l
from r4l.net import Cable, Nic, crossover
from r4l.net.backends import BackEnd, Options, back_ends
from r4l.vm import cables

ROOT = Path(__file__).parents[3]
FOLDER = Path(r4l.__file__).parent / "net/backends"
OPTIONS: dict[str, Options] = {}
"""Examples of options, for back ends that refuse a card without any."""


def test_each_file_is_a_back_end_and_a_row_of_the_documentation() -> None:
    rows = re.findall(r'^\| `"(\w+)"` \| .+ \|$', (ROOT / "docs/testing.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = {file.stem for file in FOLDER.glob("*.py")} - {"__init__"}
    assert set(back_ends()) == files == set(rows)
    assert len(rows) == len(files)


@pytest.mark.parametrize("name", back_ends())
def test_each_says_of_itself_what_a_card_needs(name: str) -> None:
    nic = Nic(backend=name, options=dict(OPTIONS.get(name, {})))
    settings = nic.netdev(3, 7)
    assert ("netdev" in nic.qemu_device(3)) == (settings is not None)
    if nic.has_cable:
        assert "7" in str(settings), "the cable's descriptor goes to QEMU"


class Loose(BackEnd):
    """A back end from outside the package."""

    def netdev(self, options: Options, *, hub: int, descriptor: int | None) -> dict[str, Any]:
        return {"type": "loose", "fd": descriptor}

    def lay(self, capture: Path | None) -> Cable:
        return crossover()[0]

    def isolated(self, options: Options) -> Options:
        return {**options, "cut": "off"}


def test_a_new_one_needs_no_other_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run asks the back end for its cable and its isolation, and no other code knows its name."""
    known = {**back_ends(), "loose": Loose()}
    monkeypatch.setattr("r4l.net.nic.back_ends", lambda: known)
    nic = Nic(backend="loose")
    laid = cables.lay([Nic(), nic], {}, tmp_path)
    assert set(laid) == {1}
    assert type(laid[1]) is Cable
    assert nic.netdev(1, 9) == {"id": "net1", "type": "loose", "fd": 9}
    cables.close(laid.values())
    monkeypatch.setenv(cables.ISOLATED, "1")
    assert cables.isolated([nic])[0].options == {"cut": "off"}


@pytest.mark.parametrize("name", back_ends())
def test_a_wire_takes_the_place_of_those_that_allow_it(name: str, tmp_path: Path) -> None:
    from r4l.testing.machine import cards_of

    mark = pytest.mark.machine(nics=[Nic(backend=name), Nic()]).mark
    config = SimpleNamespace(getoption=lambda _: None)
    node: Any = SimpleNamespace(
        fixturenames=["wire"], iter_markers=lambda _: [mark], nodeid="t", path=tmp_path / "t", config=config
    )
    if back_ends()[name].takes_wire:
        assert [card.backend for card in cards_of(node)] == ["socket", "user"]
    else:
        with pytest.raises(pytest.UsageError, match="back end of its own"):
            cards_of(node)
    assert {name for name, back_end in back_ends().items() if back_end.takes_wire} == {"user", "socket"}
