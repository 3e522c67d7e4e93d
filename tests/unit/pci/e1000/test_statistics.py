# SPDX-License-Identifier: MIT
"""Counts of the card in Python: frames, bytes and errors."""

from __future__ import annotations

import pytest
from tests.unit.pci.e1000.stand import TX_BUFFERS, Stand, ethernet, legacy

from r4l.pci import Register
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.descriptors import EOP, IFCS, RS
from r4l.pci.models.e1000.statistics import Statistics

OCTETS = ("GOR", "GOT", "TOR", "TOT")
COUNTERS = [one for one in vars(Statistics).values() if isinstance(one, Register) and one.name[:3] not in OCTETS]
SIZES = [(60, "64"), (61, "127"), (123, "127"), (124, "255"), (251, "255"), (252, "511"), (507, "511"), (508, "1023")]
SIZES += [(1019, "1023"), (1020, "1522"), (1514, "1522")]


def counters(stand: Stand) -> dict[str, int]:
    """All counters that are not 0."""
    found = {one.name: stand.read(one) for one in COUNTERS}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize(("size", "name"), SIZES)
@pytest.mark.parametrize(
    ("address", "group"),
    [("525400123456", ""), ("ffffffffffff", "B"), ("01005e000001", "M")],
    ids=["one", "all", "some"],
)
def test_a_received_frame(stand: Stand, size: int, name: str, address: str, group: str) -> None:
    stand.receive_ring(MPE=1)
    stand.card.receive(ethernet(bytes(size - 14), to=bytes.fromhex(address)))
    expected = {f"PRC{name}": 1, "GPRC": 1, "TPR": 1} | ({f"{group}PRC": 1} if group else {})
    assert counters(stand) == expected
    assert counters(stand) == {}, "cleared by the read"
    assert [stand.read(one) for one in (E1000.GORCL, E1000.GORCH)] == [size + 4, 0]
    assert stand.read(E1000.TORL) == size + 4


@pytest.mark.parametrize(("size", "name"), SIZES)
def test_a_sent_frame(stand: Stand, size: int, name: str) -> None:
    stand.transmit_ring()
    stand.put(TX_BUFFERS, ethernet(bytes(size - 14), to=b"\xff" * 6))
    stand.push(legacy(TX_BUFFERS, size, EOP | IFCS | RS))
    assert counters(stand) == {f"PTC{name}": 1, "GPTC": 1, "TPT": 1, "BPTC": 1}
    assert stand.read(E1000.GOTCL) == size + 4


def test_octets_are_cleared_by_their_upper_half(stand: Stand) -> None:
    stand.receive_ring()
    stand.card.receive(ethernet(bytes(60)))
    assert stand.read(E1000.TORL) == 78
    assert stand.read(E1000.TORL) == 78
    assert stand.read(E1000.TORH) == 0
    assert stand.read(E1000.TORL) == 0


def test_they_carry_into_the_upper_half_and_stick_at_the_end(stand: Stand) -> None:
    card = stand.card
    stand.receive_ring()
    card.TORL = 0xFFFFFFFF
    card.receive(ethernet(bytes(60)))
    assert (card.TORL, card.TORH) == (77, 1)
    card.TORL = card.TORH = 0xFFFFFFFF
    card.GPRC = 0xFFFFFFFF
    card.receive(ethernet(bytes(60)))
    assert (card.TORL, card.TORH) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert stand.read(E1000.GPRC) == 0xFFFFFFFF
