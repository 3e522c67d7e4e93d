# SPDX-License-Identifier: MIT
"""Each lab's folder is complete: handouts, starter, checks for each checkpoint, hints in both languages."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
from pathlib import Path

import pytest
from docs import labs

from r4l import resources
from r4l.camp.labs.lab import Lab, LocalizedText
from r4l.camp.labs.matrix import variants
from r4l.camp.labs.workspace import HANDOUTS, Workspace

DOCS = Path(__file__).parents[3] / "docs"
LABS = Lab.all()
CHINESE = re.compile("[\u4e00-\u9fff]")
HEADING = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
SECTION = {
    "en": re.compile(r"handout,? (?P<number>\d+)(?:\. (?P<title>.+)|, (?P<start>the [^;]+))?"),
    "zh": re.compile(r"讲义第 (?P<number>\d+) 节(?:：(?P<title>.+)|“(?P<start>[^”]+)”)?"),
}
"""References to a section of the lab's handout: by number, or by number with the title or its start."""
BETWEEN_WORDS = re.compile(r"[.:]?(?:[\s,;()`，；：、（）“”]+|$)")
each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)


def marked(lab: Lab) -> set[str]:
    """Return the checkpoints that the lab's checks are marked with."""
    found = set()
    for file in lab.checks.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.checkpoint":
                found.add(ast.literal_eval(node.args[0]))
    return found


def test_they_are_numbered_and_named_once() -> None:
    assert len({lab.number for lab in LABS}) == len({lab.name for lab in LABS}) == len(LABS)


@each_lab
def test_each_checkpoint_has_a_check_and_hints(lab: Lab) -> None:
    points = [point.id for point in lab.checkpoints]
    assert len(set(points)) == len(points)
    assert marked(lab) == set(points), f"marks in {lab.checks}/test_*.py, and the checkpoints of lab.toml"
    assert all(point.hints for point in lab.checkpoints)


@each_lab
def test_every_text_is_in_both_languages(lab: Lab) -> None:
    words: list[LocalizedText] = [lab.title]
    for point in lab.checkpoints:
        words += [point.title, point.read, *point.hints]
    for question in lab.questions:
        words += [question.ask, question.read, question.why]
    for text in words:
        assert text.en.strip()
        assert not CHINESE.search(text.en)
        # A line of Rust, or a path, is the same in both.
        assert CHINESE.search(text.zh) or text.zh == text.en, text.zh


@each_lab
def test_the_handouts_name_every_checkpoint(lab: Lab) -> None:
    for name in HANDOUTS:
        text = (lab.folder / name).read_text()
        assert bool(CHINESE.search(text)) == ("zh" in name)
        for point in lab.checkpoints[1:]:
            assert f"**{point.id}**" in text, f"{name} does not name {point.id}"


@each_lab
def test_the_starter_marks_what_is_missing(lab: Lab) -> None:
    assert lab.starter.is_dir(), f"{lab.starter} is missing"
    assert lab.answer.is_dir(), f"{lab.folder} has no folder of the name that its lab.toml gives for `answer`"
    assert lab.config or Path("Kbuild") in lab.files()
    students = [path for path in lab.starter.rglob("*") if lab.is_students(path.relative_to(lab.starter))]
    assert students
    assert "YOURS" in "".join(path.read_text() for path in students)


@each_lab
def test_the_key_of_each_question_compiles_and_does_not_take_everything(lab: Lab) -> None:
    for question in lab.questions:
        assert not question.right("I do not know this at all, sorry"), question.id
        assert not question.right("x")


@each_lab
def test_where_to_read_does_not_say_the_answer(lab: Lab) -> None:
    for question in lab.questions:
        for text in (question.read.en, question.read.zh):
            words = [word for word in BETWEEN_WORDS.split(text) if word]
            said = {" ".join(words[start:end]) for start, end in itertools.combinations(range(len(words) + 1), 2)}
            assert said, question.id
            assert not [part for part in (text, *said) if question.right(part)], question.id


@each_lab
def test_the_sections_to_read_are_there(lab: Lab) -> None:
    for handout, language in zip(HANDOUTS, SECTION, strict=True):
        titles = dict(HEADING.findall((lab.folder / handout).read_text()))
        for read in [point.read for point in lab.checkpoints] + [question.read for question in lab.questions]:
            for found in SECTION[language].finditer(getattr(read, language)):
                assert found["number"] in titles, read
                title = titles[found["number"]]
                assert (found["title"] or title).startswith(title), read
                assert title.lower().startswith(found["start"] or ""), read


@each_lab
def test_every_variant_applies_to_the_reference_answer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    points = {point.id for point in lab.checkpoints}
    for variant in variants(lab):
        folder = tmp_path_factory.mktemp("variant") / "work"
        variant.write(Workspace.start(lab, folder).folder, lab)
        if variant.kind == "kit":
            variant.edit(shutil.copytree(resources.kit(), folder / "kit"))
        if variant.kind in ("mutant", "kit"):
            assert variant.fails in points, variant.name
            assert re.compile(variant.says).pattern, variant.name


@each_lab
def test_each_has_wrong_answers_and_a_row_in_the_docs(lab: Lab) -> None:
    assert any(variant.kind == "mutant" for variant in variants(lab)), f"labs/mutants/{lab.name}.toml"
    for name in labs.PAGES:
        row = f"| {lab.number} | `{lab.name}` |"
        assert row in (DOCS / name).read_text(encoding="utf-8"), (
            f"run `python docs/labs.py`: docs/{name} has no row {row}"
        )
    row = f"| {lab.name} |"
    assert row in (DOCS / "matrix.md").read_text(encoding="utf-8"), f"docs/matrix.md has no row {row}"


@pytest.mark.parametrize("name", labs.PAGES)
def test_the_documents_have_the_table_of_the_labs(name: str) -> None:
    """Mend it by `python docs/labs.py`."""
    assert (DOCS / name).read_text(encoding="utf-8") == labs.page(name)


def test_a_lab_is_a_row_with_its_kernels(tmp_path: Path) -> None:
    entries = {
        "09-one": "",
        "10-two": 'kernels = ["stock", "debug"]\narches = ["arm64", "x86_64"]',
        "11-own": "[config]",
    }
    for folder, keys in entries.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lab.toml").write_text(f'{keys}\n[title]\nen = "T"\nzh = "题"\n')
    assert labs.table(tmp_path, "en").splitlines()[2:] == [
        "| 9 | `one` | T | stock |",
        "| 10 | `two` | T | stock; `debug`, from source, arm64 and x86_64 |",
        "| 11 | `own` | T | a kernel of your own, from source |",
    ]
    assert labs.table(tmp_path, "zh").splitlines()[2] == "| 9 | `one` | 题 | stock |"


def test_no_table_of_mutants_is_forgotten() -> None:
    assert {path.stem for path in (resources.labs() / "mutants").glob("*.toml")} <= {lab.name for lab in LABS}
