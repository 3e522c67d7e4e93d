# SPDX-License-Identifier: MIT
"""Results in a file: complete, counted once, whole after an interrupt at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.sweep import Baseline, CellResult, EventPlace, Results

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
        results.forget(["k"])
        assert not results.cells
        assert not results.baselines
    assert len(Results(tmp_path).cells) == 2


def test_two_sweeps_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Results(tmp_path), pytest.raises(UsageError, match="another sweep works"), Results(tmp_path):
        pass
    filled(tmp_path)
