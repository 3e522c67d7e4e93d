# SPDX-License-Identifier: MIT
"""docs/e1000.md has the outcomes of the e1000's tests with both drivers."""

from __future__ import annotations

import json
import re
import tomllib

from docs import e1000

ROWS = tomllib.loads(e1000.TABLE.read_text(encoding="utf-8"))["row"]


def test_the_page_is_of_the_present_features_and_outcomes() -> None:
    """Mend it by `python docs/e1000.py`."""
    outcomes = json.loads(e1000.OUTCOMES.read_text(encoding="utf-8"))
    assert e1000.PAGE.read_text(encoding="utf-8") == e1000.page(ROWS, outcomes)
    assert outcomes.keys() <= e1000.COLUMNS.keys()


def test_each_test_of_a_row_exists() -> None:
    for row in ROWS:
        for pattern in row["tests"]:
            file, _, function = pattern.partition("::")
            text = (e1000.TESTS / file).read_text(encoding="utf-8")
            assert not function or re.search(rf"^def {function}\(", text, re.MULTILINE), pattern


def test_the_outcomes_are_of_tests_that_exist() -> None:
    for column in json.loads(e1000.OUTCOMES.read_text(encoding="utf-8")).values():
        assert [name for name in column if not e1000.exists(name)] == []
    assert not e1000.exists("test_rings.py::test_none_of_that_name")
    assert not e1000.exists("test_none.py::test_none")


def test_what_failed_was_skipped_or_was_not_run_is_not_said_to_pass() -> None:
    names = {"t.py::a[1]": "passed", "t.py::a[2]": "skipped: no", "t.py::b": "failed", "t.py::ab": "failed"}
    assert e1000.cell(["t.py::a"], names) == "yes, but: no"
    assert e1000.cell(["t.py::a[1]"], names) == "yes"
    assert e1000.cell(["t.py::a[2]"], names) == "no: no"
    assert e1000.cell(["t.py::a", "t.py::b"], names) == "**failed**"
    assert e1000.cell(["t.py"], names) == "**failed**"
    assert e1000.cell(["t.py::a", "t.py::c"], names) == ""
    assert e1000.cell([], names) == ""


def test_outcomes_are_read_and_errors_of_the_machine_left_out() -> None:
    entries = [
        {"name": "x/tests/t.py::a[1]", "outcome": "passed", "reason": ""},
        {"name": "x/tests/t.py::a[2]", "outcome": "skipped", "reason": "no"},
        {"name": "x/tests/t.py::b", "outcome": "failed", "reason": ""},
        {"name": "x/tests/t.py::c", "outcome": "error", "reason": "QEMU"},
    ]
    found = {"t.py::a[1]": "passed", "t.py::a[2]": "skipped: no", "t.py::b": "failed"}
    assert e1000.read(json.dumps(entries)) == found
