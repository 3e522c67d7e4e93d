# SPDX-License-Identifier: MIT
"""Lab 10's starter is the reference driver plus the bugs of labs/mutants/survive.toml, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.labs import starters

from r4l.camp.labs.lab import Lab
from r4l.camp.labs.matrix import Variant, variants

LAB = Lab.named("survive")
BUGS = [variant for variant in variants(LAB) if variant.alone]
FILES = sorted(path.name for path in LAB.starter.iterdir())
SPDX, HEADER = "// SPDX-License-Identifier: GPL-2.0-only\n", "// YOURS (survive lab): "


def broken(bugs: list[Variant], folder: Path) -> dict[str, str]:
    """The student's files of the reference answer with these bugs."""
    for name in FILES:
        (folder / name).write_text((LAB.answer / name).read_text())
    for bug in bugs:
        bug.edit(folder)
    return {name: (folder / name).read_text() for name in FILES}


def test_the_students_files_are_those_with_bugs() -> None:
    assert sorted(LAB.edit) == FILES


def test_each_checkpoint_but_the_first_has_its_bug() -> None:
    assert [bug.fails for bug in BUGS] == [point.id for point in LAB.checkpoints[1:]]


@pytest.mark.parametrize("name", FILES)
def test_the_starter_is_the_answer_with_all_bugs(name: str, tmp_path: Path) -> None:
    spdx, header, rest = (LAB.starter / name).read_text().split("\n", 2)
    assert f"{spdx}\n" == SPDX
    assert header.startswith(HEADER)
    assert SPDX + rest == broken(BUGS, tmp_path)[name], "write it by `python tests/unit/labs/starters.py`"


@pytest.mark.parametrize("name", FILES)
def test_the_starter_is_written_as_it_is(name: str) -> None:
    assert starters.survive_text(name) == (LAB.starter / name).read_text()


def test_what_is_written_follows_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver, starter = tmp_path / "driver", tmp_path / "starter"
    driver.mkdir()
    shutil.copytree(LAB.starter, starter)
    for name in FILES:
        (driver / name).write_text((LAB.answer / name).read_text() + "// More.\n")
    monkeypatch.setattr(starters, "LABS", tmp_path)
    monkeypatch.setattr(starters, "ANSWER", driver)
    monkeypatch.setattr(starters, "SURVIVE", starter)
    starters.main()
    for name in FILES:
        assert (starter / name).read_text() == (LAB.starter / name).read_text() + "// More.\n"
    (driver / "nic.rs").write_text("")
    with pytest.raises(ValueError, match=r"nic\.rs has 0 times"):
        starters.main()
