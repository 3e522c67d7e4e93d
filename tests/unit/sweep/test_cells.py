# SPDX-License-Identifier: MIT
"""The cells of a sweep: made of a life without a fault, sampled fairly, named by text."""

from __future__ import annotations

from collections import Counter

import pytest

from r4l.errors import UsageError
from r4l.pci import FAULT_KINDS, Fault
from r4l.sweep.cells import NO_MEMORY, EventPlace, SweepCell, cells, common, kinds

PLACES = [
    EventPlace("probe", "write", "CTRL", 3),
    EventPlace("probe", "read", "CTRL", 2, bits=16),
    EventPlace("probe", "read", "ID", 40),
    EventPlace("traffic", "interrupt", "0", 2, bits=0),
    EventPlace("traffic", "dma-write", "", 5, bits=0),
    EventPlace("open", "allocation", "", 2, bits=0),
]


def texts(*wanted: str, seed: int = 0) -> list[str]:
    return [str(cell) for cell in cells(PLACES, wanted or kinds((), ()), seed=seed)]


def test_each_event_has_each_fault_that_can_come_there() -> None:
    assert sorted(texts("lost-write")) == [f"probe:lost-write@CTRL#{nth}" for nth in (1, 2, 3)]
    assert sorted(texts("lost-interrupt")) == ["traffic:lost-interrupt@0#1", "traffic:lost-interrupt@0#2"]
    assert sorted(texts("short-dma")) == [f"traffic:short-dma#{nth}" for nth in range(1, 6)]
    assert sorted(texts("no-memory")) == ["open:no-memory#1", "open:no-memory#2"]
    assert SweepCell.parse("open:no-memory#1").place == "memory"
    # Reads and writes together.
    assert Counter(SweepCell.parse(text).place for text in texts("unplug")) == {"CTRL": 5, "ID": 40}
    assert len(texts()) == len(set(texts()))


def test_the_models_own_faults_come_at_accesses() -> None:
    assert Counter(text.partition("@")[0] for text in texts("link-flap")) == {"probe:link-flap": 45}
    assert kinds(["link-flap"], ["link-flap", "unplug"]) == ["unplug", "link-flap"]
    assert kinds([], []) == [*FAULT_KINDS, NO_MEMORY]
    with pytest.raises(UsageError, match="no fault 'link-flop'"):
        kinds(["link-flap"], ["link-flop"])


def test_each_beginning_is_a_fair_sample() -> None:
    first = [SweepCell.parse(text) for text in texts()]
    groups = {(cell.phase, cell.fault.kind, cell.place) for cell in first}
    assert {(cell.phase, cell.fault.kind, cell.place) for cell in first[: len(groups)]} == groups
    assert {cell.fault.nth for cell in first[: len(groups)]} == {1}
    # Not the phases one after the other.
    assert len({cell.phase for cell in first[:20]}) >= 2
    assert texts(seed=1) == texts(seed=1)
    assert texts(seed=1) != texts(seed=2)
    assert {text.partition(" bits")[0] for text in texts(seed=1)} == {text.partition(" bits")[0] for text in texts()}


def test_bits_are_within_the_register() -> None:
    found = [cell.fault for cell in cells(PLACES, ["flipped-bit"]) if cell.fault.place == "CTRL"]
    assert found
    assert all(0 < fault.bits < 1 << 16 and fault.bits.bit_count() == 1 for fault in found)
    assert {fault.times for fault in (cell.fault for cell in cells(PLACES, ["stuck-at-one"]))} == {0}


def test_a_cell_is_a_text() -> None:
    for text in texts():
        assert str(SweepCell.parse(text)) == text
    assert SweepCell.parse("probe:lost-write@CTRL#3") == SweepCell("probe", Fault("lost-write", "CTRL", 3))
    for wrong in ("lost-write@CTRL#3", "probe", ":unplug", "a b:unplug", "probe:lost-write@CTRL#x"):
        with pytest.raises(UsageError, match="is not a"):
            SweepCell.parse(wrong)


def test_only_what_happens_each_time_is_a_place() -> None:
    other = [EventPlace("probe", "write", "CTRL", 2), EventPlace("open", "write", "CTRL", 9), PLACES[2]]
    assert common(PLACES, other) == [EventPlace("probe", "write", "CTRL", 2), PLACES[2]]
