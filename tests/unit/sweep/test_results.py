# SPDX-License-Identifier: MIT
"""Results in a file: complete, counted once, whole after an interrupt at any byte."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.sweep.test_as_test import driver

from r4l.errors import UsageError
from r4l.sweep import Baseline, CellResult, EventPlace, Results

sweep = importlib.import_module("r4l.sweep.sweep")
"""The module, whose function has its name in the package."""

BASELINE = Baseline("k", "mine", (EventPlace("probe", "read", "ID", 2),), ("a message",), 1.5, (("probe", 0, 0.1, ""),))
ONE = CellResult("k", "probe:unplug@ID#1", "handled", "service went on", (("probe", None, 40.0, "…"),), at=3)
TWO = CellResult("k", "probe:unplug@ID#2", "splat", "the kernel “complained”\udcff", trace=["a", "b"])


def filled(folder: Path) -> Path:
    with Results(folder) as results:
        for one in (BASELINE, ONE, TWO):
            results.add(one)
    return results.path


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    filled(tmp_path / "new")
    read = Results(tmp_path / "new")
    assert read.baselines == {"k": BASELINE}
    assert [one.verdict for one in read.cells.values()] == ["handled", "splat"]
    assert read.cells["k", TWO.cell].reason == TWO.reason


def test_a_cell_counts_once_and_the_last_result_counts(tmp_path: Path) -> None:
    filled(tmp_path)
    with Results(tmp_path) as results:
        results.add(CellResult("k", ONE.cell, "leak", "again"))
    read = Results(tmp_path)
    assert len(read.cells) == 2
    assert read.cells["k", ONE.cell].verdict == "leak"


def test_an_interrupt_at_any_byte_loses_one_result_at_most(tmp_path: Path) -> None:
    whole = filled(tmp_path).read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(0, len(whole), 7):
        (tmp_path / "results.jsonl").write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends)
        with Results(tmp_path) as results:
            assert len(results.baselines) + len(results.cells) in (complete, complete + 1)
            results.add(TWO)
        assert Results(tmp_path).cells["k", TWO.cell].verdict == "splat"
        assert len(Results(tmp_path).baselines) == min(1, complete)


def test_results_of_another_subject_stay(tmp_path: Path) -> None:
    filled(tmp_path)
    with Results(tmp_path) as results:
        results.forget(["other"])
        assert len(results.cells) == 2
        results.forget(["k"], ["probe:unplug@ID#7", TWO.cell])
        assert list(results.cells) == [("k", ONE.cell)]
        assert list(Results(tmp_path).baselines) == ["k"]
        assert list(Results(tmp_path).cells) == [("k", ONE.cell)]
        results.forget(["k"])
        assert not results.cells
        assert not results.baselines


def test_what_was_forgotten_does_not_come_back(tmp_path: Path) -> None:
    """Regression: after an interrupted `--again`, the next sweep had the old results."""
    filled(tmp_path)
    with Results(tmp_path) as results:
        results.forget(["k"])
    assert not Results(tmp_path).cells
    assert not Results(tmp_path).baselines
    with Results(tmp_path) as results:
        results.add(ONE)
    assert list(Results(tmp_path).cells) == [("k", ONE.cell)]


FULL = """
import resource, signal, sys
from pathlib import Path
from r4l.errors import EnvironmentFault
from r4l.sweep import CellResult, Results

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Results(Path(sys.argv[1])) as results:
    for number, room in enumerate(map(int, sys.argv[2:])):
        size = results.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
        try:
            results.add(CellResult("k", f"probe:unplug@ID#{number}", "handled", "x" * 300))
        except EnvironmentFault as error:
            print(number, error.cause)
"""


@pytest.mark.parametrize("room", [0, 1, 200, 500])
def test_a_result_that_is_not_on_the_disk_does_not_count(tmp_path: Path, room: int) -> None:
    """Regression: on a full disk half of a line was written, its result counted, and the next line was glued to it."""
    argv = [sys.executable, "-c", FULL, str(tmp_path), "5000", str(room), "5000"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"1 {tmp_path / 'results.jsonl'} cannot be written: File too large"
    assert list(Results(tmp_path).cells) == [("k", "probe:unplug@ID#0"), ("k", "probe:unplug@ID#2")]
    assert (tmp_path / "results.jsonl").read_bytes().count(b"\n") == 2


def test_an_interrupt_after_again_loses_the_old_results_of_these_cells_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    subject = driver()
    monkeypatch.setitem(subject.__dict__, "key", "k")

    def interrupted(_client: object, function: object, *_: object, **__: object) -> Iterator[object]:
        if function is sweep._baseline:
            yield subject, BASELINE
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(sweep.cluster, "connected", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(sweep.cluster, "spread", interrupted)
    monkeypatch.setattr(sweep, "require_wanted", lambda *_: None)
    monkeypatch.setattr(sweep, "ready", lambda _: SimpleNamespace(model=lambda: None))
    wanted = sweep.Wanted(named=[TWO.cell, "probe:unplug@ID#3"])
    for again, left in ((False, 2), (True, 1)):
        with Results(tmp_path) as results, pytest.raises(KeyboardInterrupt):
            sweep.sweep([subject], wanted, results, again=again, say=lambda _: None)
        assert len(Results(tmp_path).cells) == left


def test_two_sweeps_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Results(tmp_path), pytest.raises(UsageError, match="another sweep works"), Results(tmp_path):
        pass
    filled(tmp_path)
