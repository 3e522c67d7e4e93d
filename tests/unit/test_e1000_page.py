# SPDX-License-Identifier: MIT
"""docs/e1000.md has the outcomes of the e1000's tests with both drivers."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from docs import e1000

from r4l import tables

SHAPE = {"row": [{"group": str, "about!": str, "tests": [str], "note?": str}]}
TABLE = tomllib.loads(e1000.TABLE.read_text(encoding="utf-8"))
ROWS = TABLE["row"]


def test_the_page_is_of_the_present_features_and_outcomes() -> None:
    """Mend it by `python docs/e1000.py`."""
    outcomes = json.loads(e1000.OUTCOMES.read_text(encoding="utf-8"))
    assert e1000.PAGE.read_text(encoding="utf-8") == e1000.page(ROWS, outcomes)
    assert outcomes.keys() <= e1000.COLUMNS.keys()


def test_the_table_has_its_shape() -> None:
    tables.check(TABLE, SHAPE, "docs/e1000.toml")


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


def test_each_test_is_in_a_row() -> None:
    tests = e1000.tests_of(e1000.TESTS)
    rows = e1000.rows_of(ROWS, tests)
    in_rows = {test for row in rows for test in e1000.in_row(row["tests"], tests)}
    assert {f"{file}::{name}" for file, names in tests.items() for name in names} - in_rows == set()
    assert [row for row in rows if row in ROWS] == ROWS


def test_a_test_that_no_row_names_is_one_by_itself() -> None:
    table = [{"group": "t", "about": "one", "tests": ["test_t.py::a"]}, {"group": "u", "about": "u", "tests": []}]
    tests = {"test_t.py": {"a": "", "b": "Numbers of queues (`ethtool -l`)."}, "test_v.py": {"c": "MTU."}}
    assert [(row["group"], row["about"], row["tests"]) for row in e1000.rows_of(table, tests)] == [
        ("t", "one", ["test_t.py::a"]),
        ("t", "numbers of queues (`ethtool -l`)", ["test_t.py::b"]),
        ("u", "u", []),
        ("v", "MTU", ["test_v.py::c"]),
    ]
    with pytest.raises(ValueError, match=r"test_t\.py::a is in no row"):
        e1000.rows_of([], tests)


def test_docstrings_are_read_with_the_tests(tmp_path: Path) -> None:
    (tmp_path / "test_t.py").write_text(
        'def test_a() -> None:\n    """One\n    line."""\n\n\ndef test_b() -> None: ...\n'
    )
    assert e1000.tests_of(tmp_path) == {"test_t.py": {"test_a": "One line.", "test_b": ""}}


TESTS = {"t.py": ["a", "b", "ab"], "u.py": ["c", "d"], "none.py": []}


def cell(patterns: str, names: dict[str, str], other: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a cell, where its column's outcomes are `names`, and another's are `other`."""
    return e1000.cell(patterns.split(), "x", {"x": names, "y": other}, TESTS)


def test_what_failed_was_skipped_or_was_not_run_is_not_said_to_pass() -> None:
    names = {"t.py::a[1]": "passed", "t.py::a[2]": "skipped: no", "t.py::b": "failed", "t.py::ab": "failed"}
    assert cell("t.py::a", names) == "yes, but: no"
    assert cell("t.py::a t.py::b", names) == "**failed**"
    assert cell("t.py", names) == "**failed**"
    assert cell("u.py::c", names) == ""
    assert cell("", names) == ""
    assert cell("none.py", names) == ""


def test_a_new_test_takes_the_yes_from_the_row_of_its_file() -> None:
    assert cell("u.py", {"u.py::c": "passed", "u.py::d": "passed"}) == "yes"
    assert cell("u.py", {"u.py::c": "passed"}) == "yes, but: 1 of 2 tests not run yet"
    assert cell("u.py::c u.py::d", {"u.py::c": "passed"}) == "yes, but: 1 of 2 tests not run yet"
    assert cell("u.py", {"u.py::c": "skipped: no"}) == ""
    assert cell("u.py", {"u.py::c": "skipped: no", "u.py::d": "skipped: no"}) == "no: no"
    assert cell("u.py", {"u.py::c": "failed"}) == "**failed**"


def test_a_case_that_another_column_has_run_is_missed() -> None:
    other = {"u.py::c[1]": "passed", "u.py::c[2]": "failed"}
    assert cell("u.py::c", {"u.py::c[1]": "passed"}, other) == "yes, but: 1 of 2 tests not run yet"
    assert cell("u.py::c", {"u.py::c[1]": "passed", "u.py::c[2]": "passed"}, other) == "yes"
    assert cell("u.py::c", {}, other) == ""


def test_outcomes_are_read_and_errors_of_the_machine_left_out() -> None:
    entries = [
        {"name": "x/tests/t.py::a[1]", "outcome": "passed", "reason": ""},
        {"name": "x/tests/t.py::a[2]", "outcome": "skipped", "reason": "no"},
        {"name": "x/tests/t.py::b", "outcome": "failed", "reason": ""},
        {"name": "x/tests/t.py::c", "outcome": "error", "reason": "QEMU"},
    ]
    found = {"t.py::a[1]": "passed", "t.py::a[2]": "skipped: no", "t.py::b": "failed"}
    assert e1000.read(json.dumps(entries)) == found
