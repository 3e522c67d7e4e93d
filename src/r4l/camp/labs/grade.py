# SPDX-License-Identifier: MIT
"""Grade bundles: build and check each again, in fresh machines, with the teacher's hidden checks."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from r4l import home, inuse, resources, tables
from r4l.camp.labs.bundle import Bundle
from r4l.camp.labs.check import Check
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.running import probes
from r4l.camp.labs.workspace import now
from r4l.cluster import SharedKernel
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel
from r4l.process import Say, quiet
from r4l.toolchain import ladder
from r4l.vm.blame import host_fault

RESULTS = "results"
TESTS = "test_*.py"
"""Pattern of the names of files with checks."""


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
        attempts: the student's earlier attempts, the newest (`attempts.MOST`).
        key: of the bundle, the checks and the kernels; equal keys need no second grading.
        attempts_made: number of attempts in all; 0 in older grades, which have all of them.
    """

    student: str
    lab: str
    when: str
    handed_in: str
    claimed: int
    verdict: dict[str, Any]
    attempts: list[dict[str, Any]]
    key: str = ""
    attempts_made: int = 0

    @property
    def made(self) -> int:
        """Number of attempts in all."""
        return max(self.attempts_made, len(self.attempts))

    @property
    def mark(self) -> str:
        """Passed checkpoints and questions, of all."""
        return f"{self.verdict['reached']}/{self.verdict['of']}"

    @property
    def unjudged(self) -> list[str]:
        """Checkpoints that this machine could not judge."""
        return [entry["id"] for entry in self.verdict["outcomes"] if entry.get("fault")]

    @property
    def faults(self) -> list[str]:
        """Reasons why these could not be judged."""
        return [entry["fault"] for entry in self.verdict["outcomes"] if entry.get("fault")]

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
    with _own_folder() as folder:
        found = _verdict(bundle, kernels, hidden, say, before, folder)
    return _grade(bundle, found, key(bundle, kernels, hidden))


def _verdict(
    bundle: Bundle, kernels: Sequence[Kernel], hidden: Sequence[Path], say: Say, before: Grade | None, folder: Path
) -> dict[str, Any]:
    # Hidden checks are found by a complete run only.
    only = set(before.unjudged) if before and not hidden else None
    check = Check(bundle.unpack(folder / "work"), kernels, hidden, say, only)
    try:
        verdict = check.run()
    except (R4LError, OSError, MemoryError) as error:
        fault = host_fault(error)
        if not fault:
            raise
        verdict = check.not_judged(fault)
    finally:
        check.discard()
    found = verdict.as_dict()
    return _joined(before.verdict, found) if before else found


def _grade(bundle: Bundle, verdict: dict[str, Any], its_key: str) -> Grade:
    return Grade(
        bundle.student,
        bundle.lab.name,
        now(),
        bundle.when,
        bundle.claimed,
        verdict,
        [dict(attempt) for attempt in bundle.attempts],
        its_key,
        bundle.attempts_made,
    )


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Make a folder of its own, which this process holds, and which is removed at the end.

    A number of a process or thread would not do: another container with the same home has them, too.
    """
    room = home.room("grading")
    while not inuse.hold(folder := Path(tempfile.mkdtemp(prefix="bundle-", dir=room))):
        # `r4l clean` has come in between.
        pass
    try:
        yield folder
    finally:
        inuse.let_go(folder)
        home.remove(folder)


@dataclass(frozen=True)
class Grading:
    """A bundle to be graded by a worker on this computer or another, as data.

    Attributes:
        bundle: the bundle without what grading does not need; its lab is the worker's own.
        lab: name of the lab.
        kernels: kernels to check on.
        hidden: folders with hidden checks: their names, and their files' contents.
        before: as of `grade`.
        key: of the grading, as `key` returns it.
    """

    bundle: Bundle = field(repr=False)
    lab: str
    kernels: tuple[SharedKernel, ...]
    hidden: tuple[tuple[str, Mapping[str, bytes]], ...] = field(repr=False)
    before: Grade | None
    key: str

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        kernels: Sequence[Kernel],
        hidden: Sequence[Path],
        before: Grade | None,
        names: Sequence[str],
    ) -> Self:
        """Return the arguments of `grade` as data.

        Args:
            names: the user's names of the kernels.
        """
        shared = tuple(SharedKernel.of(kernel, name) for kernel, name in zip(kernels, names, strict=True))
        checks = tuple(
            (folder.name, {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)})
            for folder in hidden
        )
        return cls(bundle.needed(), bundle.lab.name, shared, checks, before, key(bundle, kernels, hidden))


def grade_there(trusted: bool, grading: Grading) -> Grade:
    """Grade a bundle on a worker.

    Args:
        trusted: True to do so also where builds are not isolated.
        grading: the bundle with all that is needed.

    Raises:
        UnfitWorker: this computer cannot make a kernel.
        EnvironmentFault: this computer does not isolate builds.
        R4LError: as for `grade`.
    """
    if not trusted:
        ladder.require_isolation("what students hand in")
    kernels = [kernel.ready() for kernel in grading.kernels]
    bundle = replace(grading.bundle, lab=Lab.named(grading.lab))
    with _own_folder() as folder:
        hidden = []
        for number, (name, files) in enumerate(grading.hidden):
            hidden.append(folder / f"hidden-{number}" / name)
            for path, data in files.items():
                file = hidden[-1] / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return _grade(bundle, _verdict(bundle, kernels, hidden, quiet, grading.before, folder), grading.key)


def key(bundle: Bundle, kernels: Sequence[Kernel], hidden: Sequence[Path]) -> str:
    """Return the key of a grading: the bundle, r4l's version, the lab's files and checks, what these import, the kit,
    the hidden checks, the kernels."""
    lab = bundle.lab
    folders = (lab.folder, probes(), resources.kit(), *hidden)
    texts = [part for folder in folders for path in _files(folder) for part in (str(path.relative_to(folder)), path)]
    # Those of a driver in rust/ are not in the lab's folder.
    texts += [part for name, path in lab.files().items() for part in (str(name), path)]
    version = importlib.metadata.version("r4l")
    return home.content_key(bundle.path, version, *(kernel.key for kernel in kernels), *texts)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


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
    stem = f"{name}.{grade.when.replace(':', '')}"
    partial = results / f"{stem}.{os.getpid()}.partial"
    partial.write_text(json.dumps(grade.__dict__, indent=1, ensure_ascii=False), encoding="utf-8")
    # Two may be graded in one second, since what is refused takes no time. The names are in the order of the grades.
    names = itertools.chain([f"{stem}.json"], (f"{stem}~{number:03}.json" for number in itertools.count(2)))
    partial.replace(next(file for name in names if not (file := results / name).exists()))


def kept_for(folder: Path, wanted: str) -> Grade | None:
    """Return the latest grade with that key in a class's folder, or None."""
    same = [grade for grade in kept(folder) if grade.key == wanted] if any((folder / RESULTS).glob("*.json")) else []
    return same[-1] if same else None


_OUTCOME = {
    "passed": object, "fault?": str, "*": object,
    **dict.fromkeys(("id", "title", "kind", "expected", "seen", "read", "detail"), str),
}  # fmt: skip
_VERDICT = {"kernel": str, "reached": int, "of": int, "full": bool, "build": str, "outcomes": [_OUTCOME], "*": object}
_TEXTS = dict.fromkeys(("student", "lab", "when", "handed_in"), str)
KEPT = {
    "grade": {**_TEXTS, "claimed": int, "verdict": _VERDICT, "attempts": [{"reached": int, "*": object}], "*": object}
}
"""Shape of a grade that is kept, as far as pages and marks read it."""


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
            data = json.loads(file.read_text(encoding="utf-8"))
            tables.check({"grade": data}, KEPT, "it")
            grades.append(Grade(**data))
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"{file} cannot be read: {error}", "remove it, and grade that bundle again") from None
    yield from sorted(grades, key=lambda grade: grade.when)
