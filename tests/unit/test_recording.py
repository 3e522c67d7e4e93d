# SPDX-License-Identifier: MIT
"""The pictures of the README show the demo as it is (bench/recording.py and bench/report_picture.py make them anew)."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from bench.report_picture import described

from r4l.camp.demo.scenario import STEPS

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/pictures/demo.svg"
REPORT = ROOT / "docs/pictures/report.png"


def test_the_picture_has_the_steps_of_the_demo() -> None:
    text = html.unescape(re.sub(r"<[^>]*>", "", PICTURE.read_text(encoding="utf-8"))).replace("\xa0", " ")
    assert [step.title for step in STEPS if step.title not in text] == []
    assert "passed: 13 rows" in text


def test_the_picture_loads_nothing() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org|www\.textualize\.io)[^\"' )]*", text) == []


def test_the_picture_of_the_report_was_made_of_these_steps() -> None:
    png = REPORT.read_bytes()
    titles = "\n".join(step.title for step in STEPS)
    assert described(b"", titles)[8:-4] in png
    assert len(png) < 200_000, "a README is read over slow lines too"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_each_readme_shows_both(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for picture in (PICTURE, REPORT):
        assert f"]({picture.relative_to(ROOT)})" in text
