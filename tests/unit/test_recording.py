# SPDX-License-Identifier: MIT
"""The picture of the README shows the demo as it is (bench/recording.py makes it anew)."""

from __future__ import annotations

import html
import re
from pathlib import Path

from r4l.camp.demo.scenario import STEPS

PICTURE = Path(__file__).parents[2] / "docs/pictures/demo.svg"


def test_the_picture_has_the_steps_of_the_demo() -> None:
    text = html.unescape(re.sub(r"<[^>]*>", "", PICTURE.read_text(encoding="utf-8"))).replace("\xa0", " ")
    assert [step.title for step in STEPS if step.title not in text] == []
    assert "passed: 13 rows" in text


def test_the_picture_loads_nothing() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org|www\.textualize\.io)[^\"' )]*", text) == []
