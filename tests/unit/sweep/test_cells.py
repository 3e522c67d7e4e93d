# SPDX-License-Identifier: MIT
"""The cells of a sweep: made of a life without a fault, sampled fairly, named by text."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from r4l import cluster
from r4l.cli import cli
from r4l.cluster import SharedKernel
from r4l.errors import UsageError
from r4l.pci import FAULT_KINDS, Fault
from r4l.pci.models.edu import Edu
from r4l.sweep import Baseline, Results, SweptDriver, Wanted
from r4l.sweep.cells import NO_MEMORY, EventPlace, SweepCell, cells, common, kinds

# The package has a function of the module's name.
sweep_module = importlib.import_module("r4l.sweep.sweep")
require_wanted = sweep_module.require_wanted

PLACES = [
    EventPlace("probe", "write", "CTRL", 3),
    EventPlace("probe", "read", "CTRL", 2, bits=16),
    EventPlace("probe", "read", "ID", 40),
    EventPlace("traffic", "interrupt", "0", 2, bits=0),
    EventPlace("traffic", "dma-write", "", 5, bits=0),
    EventPlace("open", "allocation", "", 2, bits=0),
    EventPlace("remove", "write", "config.COMMAND", 2, bits=16),
]


def texts(*wanted: str, seed: int = 0) -> list[str]:
    return [str(cell) for cell in cells(PLACES, wanted or kinds((), ()), seed=seed)]


def test_dma_is_counted_by_its_purpose() -> None:
    """The third write-back to the receive ring, not the 17th transfer."""
    places = [EventPlace("traffic", "dma-write", name, 3, bits=0) for name in ("receive", "receive.buffer")]
    found = [str(cell) for cell in cells([*places, EventPlace("traffic", "dma-read", "transmit", 1)], kinds((), ()))]
    assert "traffic:lost-dma@receive#3" in found
    assert "traffic:lost-dma@receive.buffer#3" in found
    assert [text for text in found if "garbled" in text] == ["traffic:garbled-dma@transmit#1"]
    rows = {SweepCell.parse(text).place for text in found}
    assert rows == {"DMA write receive", "DMA write receive.buffer", "DMA read transmit"}
    assert SweepCell.parse("traffic:lost-dma#3").place == "DMA write"


def test_each_event_has_each_fault_that_can_come_there() -> None:
    assert sorted(texts("lost-write")) == [
        *(f"probe:lost-write@CTRL#{nth}" for nth in (1, 2, 3)),
        *(f"remove:lost-write@config.COMMAND#{nth}" for nth in (1, 2)),
    ]
    assert sorted(texts("lost-interrupt")) == ["traffic:lost-interrupt@0#1", "traffic:lost-interrupt@0#2"]
    assert sorted(texts("short-dma")) == [f"traffic:short-dma#{nth}" for nth in range(1, 6)]
    assert sorted(texts("no-memory")) == ["open:no-memory#1", "open:no-memory#2"]
    assert SweepCell.parse("open:no-memory#1").place == "memory"
    # Reads and writes together.
    assert Counter(SweepCell.parse(text).place for text in texts("unplug")) == {
        "CTRL": 5,
        "ID": 40,
        "config.COMMAND": 2,
    }
    assert len(texts()) == len(set(texts()))
    assert sorted(texts("flipped-write"))[-2:] == [
        text for text in sorted(texts()) if text.startswith("remove:flipped-write@config.COMMAND#")
    ]
    assert SweepCell.parse("remove:lost-write@config.COMMAND#1").place == "config.COMMAND"


def test_the_models_own_faults_come_at_accesses() -> None:
    assert Counter(text.partition("@")[0] for text in texts("link-flap")) == {
        "probe:link-flap": 45,
        "remove:link-flap": 2,
    }
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


EDU = SweptDriver("m", "m", SharedKernel("stock", "x86_64", "{}"), {}, "", "python:edu", {}, False, "true")


@pytest.mark.parametrize(
    "cell",
    [
        "probe:lost-write@FACTORIAL#1",
        "traffic:unplug#1",
        "probe:flipped-bit@ID#1 bits=0x4",
        "probe:lost-interrupt@0#1",
        "remove:short-dma#2",
        "probe:no-memory#4",
        "probe:lost-write@config.COMMAND#1",
        "remove:unplug@config.STATUS#1",
        "probe:all-ones@config#4",
    ],
)
def test_a_cell_that_can_be(cell: str) -> None:
    require_wanted(EDU, Wanted(named=[cell]), Edu())


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        ({"named": ["probe:lost-wrte@ID#1"]}, "no fault 'lost-wrte'", "lost-write"),
        ({"named": ["nophase:lost-write@ID#1"]}, "no phase nophase", "probe, traffic, remove"),
        ({"named": ["open:lost-write@ID#1"]}, "no phase open", "probe, traffic, remove"),
        ({"named": ["probe:lost-write@FACTORAL#1"]}, "Edu has no FACTORAL for lost-write", "FACTORIAL"),
        ({"named": ["probe:lost-write@0#1"]}, "Edu has no 0 for lost-write", "a register's name"),
        ({"named": ["probe:lost-write@COMMAND#1"]}, "Edu has no COMMAND for lost-write", "config.COMMAND"),
        ({"named": ["probe:lost-interrupt@ID#1"]}, "Edu has no ID for lost-interrupt", "there are 0: "),
        ({"named": ["probe:short-dma@ID#1"]}, "Edu has no ID for short-dma", "for DMA a ring's name"),
        ({"named": ["probe:lost-write@ID#1 bits=0x2"]}, "lost-write has no bits", "FAULT_KINDS"),
        ({"named": ["probe:no-memory@ID#1"]}, "more than the number of an allocation", "probe:no-memory#NTH"),
        ({"named": ["probe:no-memory#1 chance=0.5"]}, "more than the number", "probe:no-memory#NTH"),
        ({"named": ["probe:unplug#1", "probe:nothing#1"]}, "no fault 'nothing'", "unplug"),
        ({"faults": ["nothing"]}, "no fault 'nothing'", "unplug"),
        ({"phases": ["nothing"]}, "no phase nothing", "probe"),
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(words: dict[str, list[str]], cause: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_wanted(EDU, Wanted(**words), Edu())  # type: ignore[arg-type]
    assert cause in refused.value.cause
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "cause"),
    [("lost-write@CTRL#0", "the fault lost-write has nth=0"), ("no-memory#-1", "the fault no-memory has nth=-1")],
)
def test_a_number_that_never_comes_is_told_in_the_users_words(text: str, cause: str) -> None:
    with pytest.raises(UsageError) as refused:
        SweepCell.parse(f"probe:{text}")
    assert refused.value.cause == cause


def test_it_is_refused_before_any_life(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = SimpleNamespace(model=Edu)
    monkeypatch.setattr(sweep_module, "ready", lambda subject: made)
    monkeypatch.setattr(cluster, "connected", lambda *_: pytest.fail("the cells are run"))
    with Results(tmp_path) as results, pytest.raises(UsageError, match="no fault 'lost-wrte'"):
        sweep_module.sweep([EDU], Wanted(named=["probe:lost-wrte@ID#1"]), results, say=print)


@pytest.mark.parametrize("option", ["--cell", "--as-test"])
def test_a_text_that_is_no_cell_needs_no_kernel(option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(cli, ["sweep", str(tmp_path), option, "lost-write@ID#1"], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "is not a cell" in done.exception.cause
    assert not (tmp_path / "home").exists()


def test_a_cell_named_twice_runs_once() -> None:
    baseline = Baseline("k", "m", (), (), 1.0, ())
    named = ["probe:unplug#2", "probe:unplug", "probe:unplug#1"]
    assert sweep_module.cells_of(EDU, baseline, Wanted(named=named)) == ["probe:unplug#2", "probe:unplug#1"]


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (0, []),
        (5, [1] * 5),
        (64, [4, *[3] * 5, *[2] * 22, 1]),
        (1000, [*[12] * 68, 11, 10, 10, 9, 9, 8, 7, 7, 7, 6, 6, 5, 5, 5, 4, 4, 4, 4, *[3] * 21]),
    ],
)
def test_the_last_machines_have_few_cells(number: int, sizes: list[int]) -> None:
    """With machines of the same size, half of the workers had nothing to do for the last two minutes."""
    every = [f"probe:reset@CTRL#{nth}" for nth in range(1, number + 1)]
    shares = sweep_module._shares(every)
    assert [cell for share in shares for cell in share] == every
    assert [len(share) for share in shares] == sizes


def test_the_longest_cells_come_first() -> None:
    """A sweep of 200 cells spent two of its five minutes with the last of them, and most machines asleep."""
    short = ["probe:unplug@CTRL#1", "traffic:reset@CTRL#1", "stop:link-down@CTRL#1"]
    long = ["traffic:unplug@CTRL#1", "suspend:unplug@CTRL#1", "traffic:link-down@CTRL#1"]
    assert sweep_module._shares([*short, *long]) == [[cell] for cell in (*long, *short)]


def test_only_what_happens_each_time_is_a_place() -> None:
    other = [EventPlace("probe", "write", "CTRL", 2), EventPlace("open", "write", "CTRL", 9), PLACES[2]]
    assert common(PLACES, other) == [EventPlace("probe", "write", "CTRL", 2), PLACES[2]]
