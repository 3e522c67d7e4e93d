# SPDX-License-Identifier: MIT
"""The figures of the READMEs are those of the pages about them."""

from __future__ import annotations

import re

import pytest
from tests.unit.signs import ROOT

READMES = ["README.md", "README.zh-CN.md"]
ROW = re.compile(r"^\| [^|]+ \| ([\d,]+) \| ([\d,]+) \| [^|]+ \| ([\d.]+) \|$", re.MULTILINE)
LEAST = [1.02, 1.02, 1.02, 1.0, 1.0, 1.11, 1.0]
"""Ratio that each workload must have at least: the Rust driver is ahead of C in all."""


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", READMES)
def test_instructions_beside_c(name: str) -> None:
    rows = ROW.findall(text("docs/bench.md"))
    assert len(rows) == len(LEAST)
    assert ROW.findall(text(name)) == rows
    assert all(float(ratio) >= least for (_, _, ratio), least in zip(rows, LEAST, strict=True))


@pytest.mark.parametrize("name", READMES)
def test_accuracy_of_the_log_s_reader(name: str) -> None:
    page = text("docs/logs.md")
    rows = ("reports found", "kind", "culprit")
    shares = [re.findall(rf"^\| {row}[^|]* \| ([\d.]+) %", page, re.MULTILINE) for row in rows]
    told = " ".join(text(name).partition("bench/logs.py")[0].rpartition("374")[2].split())
    assert re.findall(r"(\d+) %", told) == [f"{float(share):.0f}" for [share] in shares]
    [alarms, logs] = re.findall(r"^\| logs with a complaint and no report \| (\d+) of (\d+)", page, re.MULTILINE)[0]
    assert alarms == "0"
    assert logs in told
