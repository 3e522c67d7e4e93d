# SPDX-License-Identifier: MIT
"""Check what is in a workspace: build it, run the lab's checks in virtual machines, look at the answers.

The student's files are copied to a folder of the home, beside the lab's own (so its Kbuild and Makefile are what they
were, and the path has no space in it), and what is built from them runs in virtual machines only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from r4l import home
from r4l.errors import BuildError, R4LError
from r4l.kernel import Kernel
from r4l.labs.lab import Checkpoint, Lab
from r4l.labs.workspace import Workspace
from r4l.module import Module
from r4l.process import SGR, Say, quiet

TIMEOUT = 45
"""Seconds of one check. Most take one, and three on a loaded machine."""


@dataclass(frozen=True)
class Outcome:
    """How one checkpoint or question ended.

    Attributes:
        id: of the checkpoint, or the question.
        title: what has to be; the question.
        kind: `checkpoint`, `hidden` or `question`.
        passed: None where it was not looked at.
        expected: what had to be; may be empty.
        seen: what was.
        read: where to read about it; the explanation of a question that is answered rightly.
        detail: long text: the kernel's own words, what the compiler said.
    """

    id: str
    title: str
    kind: str
    passed: bool | None
    expected: str = ""
    seen: str = ""
    read: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Attributes:
        lab: its name.
        kernel: its release.
        outcomes: of all checkpoints and questions, in the lab's order.
        build: what the compiler said where the module does not build; else empty.
    """

    lab: str
    kernel: str
    outcomes: tuple[Outcome, ...]
    build: str = ""

    @property
    def reached(self) -> int:
        """How many."""
        return sum(outcome.passed is True for outcome in self.outcomes)

    @property
    def full(self) -> bool:
        """Whether all are."""
        return self.reached == len(self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "reached": self.reached, "of": len(self.outcomes), "full": self.full}


@dataclass
class Check:
    """A check of a workspace.

    Attributes:
        workspace: what is checked.
        kernel: on which kernel.
        hidden: folders with more checks.
    """

    workspace: Workspace
    kernel: Kernel
    hidden: Sequence[Path] = ()
    say: Say = field(default=quiet)

    @property
    def evidence(self) -> Path:
        """Folder with results.json, the console logs and the captures of each check of the last run."""
        return place(self.workspace).with_suffix(".evidence")

    def run(self) -> Verdict:
        """Build, check, look at the answers."""
        lab, build, results = self.workspace.lab, "", {}
        folder = place(self.workspace)
        with home.lock(f"lab-{folder.name}"):
            fill(folder, lab, self.workspace.sources())
            home.remove(self.evidence)
            self.evidence.mkdir(parents=True)
            try:
                module = None
                if lab.answer:
                    self.say("building")
                    module = Module(folder).build(self.kernel, say=self.say).path
            except BuildError as error:
                build = _shown(f"{error.cause}\n{error.detail}", folder, self.workspace.folder)
            else:
                results = self._checks(module)
        own = self.workspace.folder
        outcomes = [_shown_outcome(outcome, folder, own) for outcome in _outcomes(lab, results, build)]
        outcomes += self._answers()
        return Verdict(lab.name, self.kernel.release, tuple(outcomes), build)

    def discard(self) -> None:
        """Remove all that a run has made, for a workspace that is not checked again."""
        folder = place(self.workspace)
        for path in (self.evidence, Module(folder).output(self.kernel).parent, folder):
            home.remove(path)

    def _checks(self, module: Path | None) -> dict[str, dict[str, Any]]:
        """Run pytest in a process of its own: what hangs is ended there, and nothing of it stays in this one."""
        checks = self.workspace.lab.checks
        argv = [sys.executable, "-m", "pytest", str(checks), *map(str, self.hidden)]
        argv += ["-q", "-p", "r4l.labs.checkpoints", "-p", "no:cacheprovider", "--import-mode=importlib"]
        argv += ["-c", os.devnull, "--rootdir", str(checks), "--confcutdir", str(checks), "--timeout", str(TIMEOUT)]
        argv += ["--kernel", self.kernel.name, "--arch", self.kernel.arch, "--lab-results", str(self.evidence)]
        if module:
            argv += ["--r4l-module", str(module)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        self.say("checking")
        done = subprocess.run(argv, cwd=checks, env=environment, capture_output=True, text=True, check=False)
        (self.evidence / "pytest.log").write_text(done.stdout + done.stderr)
        try:
            results: dict[str, dict[str, Any]] = json.loads((self.evidence / "results.json").read_text())
        except FileNotFoundError:
            raise R4LError("the lab's checks did not run", detail=(done.stdout + done.stderr)[-3000:]) from None
        return results

    def _answers(self) -> Iterator[Outcome]:
        answers = self.workspace.answers()
        for question in self.workspace.lab.questions:
            answer = answers.get(question.id)
            right = question.right(answer) if answer else None
            yield Outcome(
                question.id,
                str(question.ask),
                "question",
                right,
                seen=answer or "",
                read=str(question.why) if right else "",
            )


def place(workspace: Workspace) -> Path:
    """Where a workspace is built: a folder of the home that the kernel's Makefile can take."""
    key = home.content_key(str(workspace.folder))
    return home.room("labs", f"{workspace.lab.name}-{key}")


def fill(folder: Path, lab: Lab, sources: Mapping[Path, bytes]) -> None:
    """Put the lab's own files and the student's into a folder; what has not changed is not touched, for make's sake."""
    files = {
        path.relative_to(lab.starter): path.read_bytes() for path in sorted(lab.starter.rglob("*")) if path.is_file()
    }
    files = {name: data for name, data in files.items() if not lab.is_students(name)}
    wanted = {**files, **sources}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder) not in wanted:
            path.unlink()
    for name, data in wanted.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != data:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def _outcomes(lab: Lab, results: Mapping[str, Mapping[str, Any]], build: str) -> Iterator[Outcome]:
    known = {point.id: point for point in lab.checkpoints}
    for point in lab.checkpoints:
        yield _outcome(point, results.get(point.id), build)
    for name, result in results.items():
        if name not in known:
            yield Outcome(name, result["title"] or name, "hidden", **_fields(result))


def _outcome(point: Checkpoint, result: Mapping[str, Any] | None, build: str) -> Outcome:
    if result is None:
        reason = "the module does not build" if build else "the machine hung before"
        return Outcome(point.id, str(point.title), "checkpoint", None, seen=reason)
    return Outcome(point.id, str(point.title), "checkpoint", read=str(point.read), **_fields(result))


def _fields(result: Mapping[str, Any]) -> dict[str, Any]:
    if result["skipped"]:
        return {"passed": None, "seen": result["skipped"]}
    return {
        "passed": result["passed"],
        **{key: result[key] for key in ("expected", "seen", "detail") if key in result},
    }


def _shown_outcome(outcome: Outcome, folder: Path, workspace: Path) -> Outcome:
    return replace(
        outcome,
        expected=_shown(outcome.expected, folder, workspace),
        seen=_shown(outcome.seen, folder, workspace),
        detail=_shown(outcome.detail, folder, workspace),
    )


def _shown(text: str, folder: Path, workspace: Path) -> str:
    """What the compiler said, with the student's own paths."""
    return SGR.sub("", text).replace(str(folder), str(workspace))
