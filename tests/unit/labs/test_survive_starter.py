# SPDX-License-Identifier: MIT
"""Lab 10's starter is the reference driver plus the bugs of labs/mutants/survive.toml, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    assert SPDX + rest == broken(BUGS, tmp_path)[name]
