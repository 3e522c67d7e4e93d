# SPDX-License-Identifier: MIT
"""Grade bundles: each is built and checked again, in clean machines, with the teacher's hidden checks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.labs.bundle import Bundle
from r4l.labs.check import Check
from r4l.labs.lab import Lab
from r4l.labs.workspace import now
from r4l.process import Say, quiet

RESULTS = "results"


@dataclass(frozen=True)
class Grade:
    """How a bundle did when it was run again.

    Attributes:
        student: as the bundle says.
        lab: its name.
        when: of the grading.
        handed_in: when the bundle was made.
        claimed: how many checkpoints the verdict inside says were reached.
        verdict: what was found now, as `Verdict.as_dict`.
        attempts: how the student came there.
    """

    student: str
    lab: str
    when: str
    handed_in: str
    claimed: int
    verdict: dict[str, Any]
    attempts: list[dict[str, Any]]

    @property
    def mark(self) -> str:
        """Reached, of all."""
        return f"{self.verdict['reached']}/{self.verdict['of']}"

    @property
    def believed(self) -> bool:
        """Whether the verdict inside says no more than was found (hidden checks not counted)."""
        hidden = sum(entry["kind"] == "hidden" and entry["passed"] is True for entry in self.verdict["outcomes"])
        return bool(self.claimed <= self.verdict["reached"] - hidden)


def grade(bundle: Bundle, kernels: Sequence[Kernel], hidden: Sequence[Path] = (), say: Say = quiet) -> Grade:
    """Check what a bundle holds, again."""
    folder = home.room("grading") / str(os.getpid())
    home.remove(folder)
    try:
        check = Check(bundle.unpack(folder), kernels, hidden, say)
        try:
            verdict = check.run()
        finally:
            check.discard()
    finally:
        home.remove(folder)
    return Grade(
        bundle.student,
        bundle.lab.name,
        now(),
        bundle.manifest["when"],
        bundle.manifest["verdict"]["reached"],
        verdict.as_dict(),
        list(bundle.manifest["attempts"]),
    )


def hidden_checks(folder: Path, lab: Lab) -> list[Path]:
    """What of a teacher's folder is for a lab: its subfolder of the lab's name, or all where none is of any lab's."""
    own = [folder / name for name in lab.called if (folder / name).is_dir()]
    if own or any((folder / name).is_dir() for other in Lab.all() for name in other.called):
        return own
    return [folder]


def keep(grade: Grade, folder: Path, name: str) -> None:
    """Keep a grade in a class's folder. An earlier one of the same student and lab stays, under its time."""
    results = folder / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"{name}.{grade.when.replace(':', '')}.json"
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(grade.__dict__, indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(file)


def kept(folder: Path) -> Iterator[Grade]:
    """The grades of a class's folder, the oldest first.

    Raises:
        UsageError: there are none, or one cannot be read.
    """
    files = sorted((folder / RESULTS).glob("*.json"))
    if not files:
        raise UsageError(f"{folder} holds no grades", "make some: `r4l lab grade BUNDLE… --into FOLDER`")
    grades = []
    for file in files:
        try:
            grades.append(Grade(**json.loads(file.read_text(encoding="utf-8"))))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{file} cannot be read: {error}", "remove it, and grade that bundle again") from None
    yield from sorted(grades, key=lambda grade: grade.when)
