# SPDX-License-Identifier: MIT
"""Kind of a complaint from its first line alone (headlines.toml)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from r4l.klog.kinds import HEADLINES, classify

CASES = tomllib.loads((Path(__file__).parent / "headlines.toml").read_text(encoding="utf-8"))
LINES = [(kind, line) for kind, lines in CASES["kinds"].items() for line in lines]


@pytest.mark.parametrize(("kind", "line"), LINES, ids=[line[:50] for _, line in LINES])
def test_a_headline_begins_a_complaint_of_its_kind(kind: str, line: str) -> None:
    assert classify(line) == kind


def test_every_kind_has_a_headline_here() -> None:
    assert {headline.kind for headline in HEADLINES} == CASES["kinds"].keys()


@pytest.mark.parametrize("line", CASES["none"]["lines"])
def test_other_lines_begin_none(line: str) -> None:
    assert classify(line) is None
