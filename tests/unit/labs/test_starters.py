# SPDX-License-Identifier: MIT
"""Starters whose files are the reference answer's without the parts that the student writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.labs import starters

from r4l.camp.labs.lab import Lab

MARKED = starters.unanswered_files(starters.LABS)
ANSWER = """\
fn f() -> Result {
    // --- starter
    //| // YOURS (f): do it.
    //|
    //|     Err(EINVAL)
    // --- answer
    Ok(())
    // --- end
}
// --- answer
fn only_in_the_answer() {}
// --- end
# --- starter
#| only in the starter
# --- end
"""
STARTER = """\
fn f() -> Result {
    // YOURS (f): do it.

        Err(EINVAL)
}
only in the starter
"""


@pytest.mark.parametrize("path", MARKED, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_the_starter_is_the_answer_without_its_parts(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == MARKED[path], "write it by `python tests/unit/labs/starters.py`"


def test_the_frame_for_new_labs_is_one_of_them() -> None:
    """CONTRIBUTING.md, A lab: a copy of it needs no starter of its own."""
    lab = Lab.named("hello")
    assert {path.name for path in MARKED if path.parent == lab.starter} == set(lab.edit)


def test_parts_are_replaced() -> None:
    assert starters.unanswered(ANSWER, "x.rs") == STARTER
    assert starters.unanswered(STARTER, "x.rs") == STARTER


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("// --- end\n", r"x\.rs:1: `--- end` cannot follow `--- end`"),
        ("\n// --- starter\n// --- starter\n", r"x\.rs:3: `--- starter` cannot follow `--- starter`"),
        ("// --- answer\n// --- starter\n", r"x\.rs:2: `--- starter` cannot follow `--- answer`"),
        ("// --- starter\nfn f() {}\n// --- end\n", r"x\.rs:2: a line of the starter begins with `//\|`"),
        ("// --- answer\nfn f() {}\n", r"x\.rs:2: `--- answer` has no `--- end`"),
    ],
)
def test_a_mark_that_has_no_meaning_is_an_error(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        starters.unanswered(text, "x.rs")


def test_files_without_marks_are_left_alone(tmp_path: Path) -> None:
    answer = tmp_path / "12-new/answer"
    answer.mkdir(parents=True)
    (answer / "new.rs").write_text(ANSWER)
    (answer / "Kbuild").write_text("obj-m := new.o\n")
    assert starters.unanswered_files(tmp_path) == {tmp_path / "12-new/starter/new.rs": STARTER}
