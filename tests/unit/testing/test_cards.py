# SPDX-License-Identifier: MIT
"""The network cards of a test's machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.net import Nic
from r4l.testing.machine import cards_of


def node(option: str | None, nics: list[Nic | str], *fixtures: str) -> pytest.Item:
    """A test with these cards, on a command line with this `--r4l-card`."""
    mark = SimpleNamespace(args=(), kwargs={"nics": nics})
    found: dict[str, Any] = {"r4l_card": option}
    return cast(
        pytest.Item,
        SimpleNamespace(
            nodeid="test",
            path=Path("/nowhere/test.py"),
            fixturenames=fixtures,
            iter_markers=lambda _: [mark],
            config=SimpleNamespace(getoption=lambda name: found[name.strip("-").replace("-", "_")]),
        ),
    )


def test_the_cards_are_the_marker_s() -> None:
    assert cards_of(node(None, ["e1000", Nic("virtio-net-pci")])) == (Nic("e1000"), Nic("virtio-net-pci"))


def test_another_card_takes_the_place_of_every_e1000() -> None:
    cards = cards_of(node("python:e1000", ["e1000", Nic("virtio-net-pci"), Nic("e1000", backend="hub", hub=2)]))
    assert [card.model for card in cards] == ["python:e1000", "virtio-net-pci", "python:e1000"]
    assert cards[2].hub == 2


def test_the_test_s_wire_is_at_the_other_card_as_well() -> None:
    (card,) = cards_of(node("python:e1000", ["e1000"], "wire"))
    assert (card.model, card.backend) == ("python:e1000", "socket")
