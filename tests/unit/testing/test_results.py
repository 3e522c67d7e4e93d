# SPDX-License-Identifier: MIT
"""The files of results that `--r4l-json` and `--r4l-ktap` write."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.testing.test_judging import run

from r4l.testing import ktap

TESTS = """
import pytest

def test_skipped():
    pytest.skip("no card")

def test_expected_at_once():
    pytest.xfail("the card is broken")

@pytest.mark.xfail(reason="the driver is broken")
def test_expected():
    assert False

@pytest.mark.xfail
def test_expected_without_reason():
    assert False

def test_skipped_with_two_lines():
    pytest.skip("no card\\nnot ok 7 here")

@pytest.mark.xfail(reason="a mistake", strict=True)
def test_that_passes_all_the_same():
    pass
"""
REASONS = {
    "test_skipped": "Skipped: no card",
    "test_expected_at_once": "the card is broken",
    "test_expected": "the driver is broken",
    "test_expected_without_reason": "skipped",
    "test_skipped_with_two_lines": "Skipped: no card\nnot ok 7 here",
}


def test_the_reason_of_a_test_that_does_not_count(tmp_path: Path) -> None:
    run(tmp_path, TESTS, "--r4l-json=it.json", "--r4l-ktap=it.ktap")
    found = {entry["name"].rpartition("::")[2]: entry for entry in json.loads((tmp_path / "it.json").read_text())}
    passed = found.pop("test_that_passes_all_the_same")
    assert (passed["outcome"], {name: entry["reason"] for name, entry in found.items()}) == ("failed", REASONS)
    assert {entry["outcome"] for entry in found.values()} == {"skipped"}
    text = (tmp_path / "it.ktap").read_text()
    again = [result for result in ktap.parse(text.splitlines()) if result.name]
    assert [result.skipped for result in again] == [*(" ".join(reason.split()) for reason in REASONS.values()), ""]
