# SPDX-License-Identifier: MIT
"""The rows and their states."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.camp import rows


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
