# SPDX-License-Identifier: MIT
"""Network cards in Python, and the lines to their back ends."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r4l.errors import UsageError
from r4l.net import Nic, Wire
from r4l.pci.load import MODELS as SHIPPED_MODELS
from r4l.pci.models.e1000 import E1000
from r4l.vm import Endpoints, Machine, cards, command_line
from r4l.vm.machine import kernel_line

MACHINE = Machine(kernel=Path("/k/vmlinux"), initrd=Path("/r/x.cpio"), append=kernel_line("x86_64", "quiet"))
MINE = Nic("python:e1000", capture=False)


def netdevs(nic: Nic, *, lines: dict[int, int] | None = None) -> list[dict[str, Any]]:
    machine = replace(MACHINE, nics=(Nic("e1000", backend="none"), nic))
    ends = Endpoints(10, 11, 12, lines={1: 20} if lines is None else lines)
    argv = command_line(machine, ends)
    pairs = list(itertools.pairwise(argv))
    assert not [value for name, value in pairs if name == "-device" and "python" in value]
    return [json.loads(value) for name, value in pairs if name == "-netdev"]


def test_a_line_to_qemu_s_router() -> None:
    line, router, *ports = netdevs(MINE)
    assert line == {"id": "line1", "type": "dgram", "local": {"type": "fd", "str": "20"}}
    assert router == {"id": "net1", "type": "user"}
    assert [(port["type"], port["netdev"]) for port in ports] == [("hubport", "line1"), ("hubport", "net1")]
    assert ports[0]["hubid"] == ports[1]["hubid"]


def test_a_line_to_a_hub() -> None:
    line, port = netdevs(replace(MINE, backend="hub", hub=3))
    assert port == {"id": "net1", "type": "hubport", "hubid": 3, "netdev": line["id"]}


@pytest.mark.parametrize("name", [name for name in SHIPPED_MODELS if name.startswith("e1000")])
def test_every_card_of_ours_takes_an_address(name: str) -> None:
    """Python before 3.11.4 shows the arguments of `__new__` for a class whose base has one."""
    card = cards.make([Nic(f"python:{name}", mac="52:54:00:00:00:07")])[0]
    assert card.mac == bytes.fromhex("525400000007")


def test_no_line_without_a_back_end_or_in_a_machine_that_gets_the_card_later() -> None:
    assert netdevs(replace(MINE, backend="none")) == []
    assert netdevs(MINE, lines={}) == []


def test_the_capture_is_at_the_back_end() -> None:
    machine = replace(MACHINE, nics=(replace(MINE, capture=True),))
    argv = command_line(machine, Endpoints(10, 11, 12, lines={0: 20}, captures={0: Path("nic0.pcap")}))
    assert any('"netdev": "net0"' in value and "filter-dump" in value for value in argv)


def test_cards_are_made_with_their_addresses() -> None:
    made = cards.make([Nic("e1000"), MINE, replace(MINE, mac="52:54:00:AA:BB:CC")])
    assert {index: card.mac.hex() for index, card in made.items()} == {1: "525400123457", 2: "525400aabbcc"}
    assert all(isinstance(card, E1000) for card in made.values())


@pytest.mark.parametrize(
    ("nic", "cause"),
    [
        (Nic("python:edu"), "is not a network card"),
        (Nic("python:e100"), "has no model e100"),
        (Nic("python:e1000", device={"addr": "0x10"}), "takes no `device`"),
    ],
)
def test_no_such_card(nic: Nic, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        cards.make([nic])


def test_a_wire_is_the_card_s_own() -> None:
    made = cards.make([MINE, replace(MINE, backend="socket")])
    wire = Wire()
    lines, ends = cards.connect(made, [MINE, replace(MINE, backend="socket")], {1: wire})
    assert list(lines) == [0]
    for one in (*lines.values(), *ends, wire):
        one.close()
