# SPDX-License-Identifier: MIT
"""The rows and their states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r4l.camp import rows
from r4l.cli.rows import marked_tests


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))


def test_the_table_is_whole() -> None:
    table = rows.table()
    assert len(table) == 59
    assert table["A7"].works_when.startswith("`ping -c4 10.0.2.2`: 0% loss")


def test_states() -> None:
    rows.save_results({"A7": {"t::one": "passed"}, "A9": {"t::two": "passed"}})
    rows.save_results({"A9": {"t::three": "failed"}})
    marked = {"A7": ["t::one"], "A9": ["t::two", "t::three"], "A5": ["t::new"]}
    state = {entry.row.id: entry.state for entry in rows.states(marked)}
    assert (state["A7"], state["A9"], state["A5"], state["A6"]) == ("passed", "failed", "not run", "no check")


def test_a_test_that_is_gone_does_not_count() -> None:
    rows.save_results({"A7": {"t::removed": "passed"}})
    state = {entry.row.id: entry.state for entry in rows.states({})}
    assert state["A7"] == "no check"


def test_the_tests_of_a_row_are_found_without_a_look_into_the_other_files(tmp_path: Path) -> None:
    (tmp_path / "test_marked.py").write_text(
        "import pytest\n@pytest.mark.row('A7')\ndef test_one():\n    pass\ndef test_two():\n    pass\n",
        encoding="utf-8",
    )
    (tmp_path / "test_plain.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    argv = [sys.executable, "-m", "pytest", "--collect-only", "--rows-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, "-p", "r4l.camp.rows.record", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("ROW ")] == ["ROW A7 test_marked.py::test_one"]


def test_each_marked_test_of_the_checkout_is_found() -> None:
    """Many of the tests have several rows, and files are left out by their text."""
    marked = marked_tests()
    assert marked is not None
    assert set(marked) == set(rows.table())
