# SPDX-License-Identifier: MIT
"""Grade bundles: build and check each again, in fresh machines, with the teacher's hidden checks."""

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
    """Result of checking a bundle again.

    Attributes:
        student: name, as stated in the bundle.
        lab: name of the lab.
        when: time of the grading.
        handed_in: time when the bundle was made.
        claimed: number of checkpoints reached according to the verdict inside.
        verdict: result of the new check, as in `Verdict.as_dict`.
        attempts: the student's earlier attempts.
        key: of the bundle, the checks and the kernels; equal keys need no second grading.
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
        """Passed checkpoints and questions, of all."""
        return f"{self.verdict['reached']}/{self.verdict['of']}"

    @property
    def unjudged(self) -> list[str]:
        """Checkpoints that this machine could not judge."""
        return [entry["id"] for entry in self.verdict["outcomes"] if entry.get("fault")]

    @property
    def believed(self) -> bool:
        """True if the verdict inside claims no more than was found, hidden checks excluded.

        Checkpoints that could not be judged count as possibly reached.
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
    """Check a bundle's content again. Checkpoints that this machine cannot judge are marked so in the grade.

    Args:
        before: an earlier grade with the same key; its judged results are kept, and only the rest is checked.
    """
    folder = home.room("grading") / str(os.getpid())
    home.remove(folder)
    # Hidden checks are found by a complete run only.
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
    """Return the key of a grading: the bundle, the lab's files and checks, the hidden checks, the kernels."""
    folders = (bundle.lab.folder, *hidden)
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if _counts(path))
    texts = [part for path in files for part in (path.name, path)]
    return home.content_key(bundle.path, *(kernel.key for kernel in kernels), *texts)


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _joined(before: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier verdict with its unjudged outcomes replaced by new ones."""
    judged = {entry["id"]: entry for entry in before["outcomes"] if not entry.get("fault")}
    outcomes = [judged.pop(entry["id"], entry) for entry in found["outcomes"]]
    # Keep hidden checks that this run did not reach.
    outcomes += judged.values()
    reached = sum(entry["passed"] is True for entry in outcomes)
    unjudged = sum(bool(entry.get("fault")) for entry in outcomes)
    counts = {"reached": reached, "of": len(outcomes), "full": reached == len(outcomes), "unjudged": unjudged}
    return {**found, "outcomes": outcomes, **counts}


def hidden_checks(folder: Path, lab: Lab) -> list[Path]:
    """Return the folders with a lab's hidden checks: the subfolder of its name, or the whole folder if no subfolder is
    named after a lab."""
    own = [folder / name for name in lab.called if (folder / name).is_dir()]
    if own or any((folder / name).is_dir() for other in Lab.all() for name in other.called):
        return own
    return [folder]


def keep(grade: Grade, folder: Path, name: str) -> None:
    """Save a grade in a class's folder. An earlier one of the same student and lab is kept, by its time."""
    results = folder / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"{name}.{grade.when.replace(':', '')}.json"
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(grade.__dict__, indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(file)


def kept_for(folder: Path, wanted: str) -> Grade | None:
    """Return the latest grade with that key in a class's folder, or None."""
    same = [grade for grade in kept(folder) if grade.key == wanted] if any((folder / RESULTS).glob("*.json")) else []
    return same[-1] if same else None


def kept(folder: Path) -> Iterator[Grade]:
    """Yield the grades in a class's folder, oldest first.

    Raises:
        UsageError: the folder has no grades, or one cannot be read.
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
