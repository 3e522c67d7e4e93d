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
from r4l.camp.labs.bundle import Bundle
from r4l.camp.labs.check import Check
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import now
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel
from r4l.process import Say, quiet
from r4l.vm.blame import host_fault

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
        key: of the bundle, the checks and the kernels: what has the same key need not be graded twice.
    """

    student: str
    lab: str
    when: str
    handed_in: str
    claimed: int
    verdict: dict[str, Any]
    attempts: list[dict[str, Any]]
    key: str = ""

    @property
    def mark(self) -> str:
        """Reached, of all."""
        return f"{self.verdict['reached']}/{self.verdict['of']}"

    @property
    def unjudged(self) -> list[str]:
        """The checkpoints that this machine could not judge."""
        return [entry["id"] for entry in self.verdict["outcomes"] if entry.get("fault")]

    @property
    def believed(self) -> bool:
        """Whether the verdict inside says no more than was found (hidden checks not counted).

        What could not be judged may be reached.
        """
        hidden = sum(entry["kind"] == "hidden" and entry["passed"] is True for entry in self.verdict["outcomes"])
        return bool(self.claimed <= self.verdict["reached"] + len(self.unjudged) - hidden)


def grade(
    bundle: Bundle,
    kernels: Sequence[Kernel],
    hidden: Sequence[Path] = (),
    say: Say = quiet,
    before: Grade | None = None,
) -> Grade:
    """Check what a bundle holds, again. What this machine cannot judge is in the grade as that.

    Args:
        before: a grade of the same key; what was judged there stays, and only the rest is checked.
    """
    folder = home.room("grading") / str(os.getpid())
    home.remove(folder)
    # Which hidden checks there are, only a whole run tells.
    only = set(before.unjudged) if before and not hidden else None
    try:
        check = Check(bundle.unpack(folder), kernels, hidden, say, only)
        try:
            verdict = check.run()
        except (R4LError, OSError, MemoryError) as error:
            fault = host_fault(error)
            if not fault:
                raise
            verdict = check.not_judged(fault)
        finally:
            check.discard()
    finally:
        home.remove(folder)
    found = verdict.as_dict()
    return Grade(
        bundle.student,
        bundle.lab.name,
        now(),
        bundle.manifest["when"],
        bundle.manifest["verdict"]["reached"],
        _joined(before.verdict, found) if before else found,
        list(bundle.manifest["attempts"]),
        key(bundle, kernels, hidden),
    )


def key(bundle: Bundle, kernels: Sequence[Kernel], hidden: Sequence[Path]) -> str:
    """Names a grading: the bundle, the lab's files and checks, the hidden ones, the kernels."""
    folders = (bundle.lab.folder, *hidden)
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if _counts(path))
    texts = [part for path in files for part in (path.name, path)]
    return home.content_key(bundle.path, *(kernel.key for kernel in kernels), *texts)


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _joined(before: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """An earlier verdict, with what it could not judge as it was found now."""
    judged = {entry["id"]: entry for entry in before["outcomes"] if not entry.get("fault")}
    outcomes = [judged.pop(entry["id"], entry) for entry in found["outcomes"]]
    # Hidden checks that this time no machine got to.
    outcomes += judged.values()
    reached = sum(entry["passed"] is True for entry in outcomes)
    unjudged = sum(bool(entry.get("fault")) for entry in outcomes)
    counts = {"reached": reached, "of": len(outcomes), "full": reached == len(outcomes), "unjudged": unjudged}
    return {**found, "outcomes": outcomes, **counts}


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


def kept_for(folder: Path, wanted: str) -> Grade | None:
    """The latest grade of that key in a class's folder."""
    same = [grade for grade in kept(folder) if grade.key == wanted] if any((folder / RESULTS).glob("*.json")) else []
    return same[-1] if same else None


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
