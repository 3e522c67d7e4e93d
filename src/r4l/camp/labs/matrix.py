# SPDX-License-Identifier: MIT
"""The graders are graded: each wrong answer must fail with a message that names its bug, each right one must pass.

The variants stand in `labs/mutants/LAB.toml`, as edits of the reference answer:

* `[NAME]`, a bug: `bug`, the checkpoint that `fails`, what the student reads there (`says`, a regular expression);
  with `alone` it has to miss no other checkpoint;
* `[kit.NAME]`, a bug that a driver without `unsafe` cannot have: the same, put into the kit;
* `[right.NAME]`, a right answer written in another way: `what`; as edits, or whole `files` of a folder;
* `[excluded.NAME]`, a bug that does not compile: `why`, and the compiler's `error`;
* `[unobservable.NAME]`, a bug that no check can see on an emulator: `why`. It is listed and not run.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import home, resources
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.workspace import Workspace
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel

KINDS = {"right": "what", "kit": "bug", "excluded": "why", "unobservable": "why"}
"""The tables beside the mutants, and the key that says what each entry is."""

COMPLAINT = "the kernel complained"
"""How a Splat begins (r4l.klog.splat). A starter may miss what it likes, but not break the kernel, unless the lab is
about mending what does (`Lab.broken`). Of such a starter each checkpoint has to be looked at: it must not hang.
"""


@dataclass(frozen=True)
class Variant:
    """A variant of a lab's reference answer.

    Attributes:
        lab: the lab's name.
        kind: `mutant`, `kit`, `right`, `excluded`, `unobservable`, or `answer` and `starter` themselves.
        name: what it is called.
        what: the bug, or what is done in another way.
        edits: file, what stands there once, what is put there instead.
        fails: the checkpoint that a mutant must fail.
        says: what its report must match.
        files: a folder of labs/mutants/ whose files stand in for those of the reference answer.
        alone: whether it must miss that checkpoint alone.
    """

    lab: str
    kind: str
    name: str
    what: str
    edits: tuple[Mapping[str, str], ...] = ()
    fails: str = ""
    says: str = ""
    files: str = ""
    alone: bool = False

    def write(self, folder: Path, lab: Lab) -> None:
        """Put it into a workspace.

        Raises:
            R4LError: an edit does not apply to the reference answer any more.
        """
        source = lab.starter if self.kind == "starter" else lab.answer
        for old in folder.rglob("*.*"):
            if old.is_file() and lab.is_students(old.relative_to(folder)):
                old.unlink()
        for file in sorted(source.rglob("*")):
            name = file.relative_to(source)
            if file.is_file() and name.parts[0] != "tests" and lab.is_students(name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / name)
        if self.files:
            shutil.copytree(resources.labs() / "mutants" / self.files, folder, dirs_exist_ok=True)
        if self.kind != "kit":
            self.edit(folder)

    def edit(self, folder: Path) -> None:
        """Apply its edits to the files of a folder: a workspace, or a copy of the kit.

        Raises:
            R4LError: one does not apply any more.
        """
        for edit in self.edits:
            file = folder / edit["file"]
            text = file.read_text(encoding="utf-8")
            if text.count(edit["old"]) != 1:
                raise R4LError(f"{self.lab}: {self.name} does not apply to {edit['file']} any more", "mend its edits")
            file.write_text(text.replace(edit["old"], edit["new"]), encoding="utf-8")


@dataclass(frozen=True)
class Judged:
    """What became of a variant.

    Attributes:
        variant: which.
        fine: whether the graders did right by it.
        said: what the student would read; why it is not fine.
    """

    variant: Variant
    fine: bool
    said: str


def variants(lab: Lab) -> list[Variant]:
    """Those of a lab: the reference answer, the starter, and what labs/mutants/ has."""
    found = [
        Variant(lab.name, "answer", "answer", "the reference answer"),
        Variant(lab.name, "starter", "starter", "the starter as it is"),
    ]
    file = resources.labs() / "mutants" / f"{lab.name}.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for kind, what in KINDS.items():
        for name, entry in table.pop(kind, {}).items():
            found.append(_variant(lab, kind, name, entry[what], entry))
    found += [_variant(lab, "mutant", name, entry["bug"], entry) for name, entry in table.items()]
    return found


def judge(lab: Lab, variant: Variant, verdict: Verdict) -> Judged:
    """Whether a verdict does right by a variant."""
    if verdict.unjudged:
        return Judged(variant, False, f"it could not be judged: {verdict.unjudged[0].fault}")
    points = [outcome for outcome in verdict.outcomes if outcome.kind == "checkpoint"]
    missed = [outcome for outcome in points if outcome.passed is not True]
    if variant.kind in ("right", "answer"):
        return Judged(variant, not missed, "full mark" if not missed else _told(missed))
    if variant.kind == "starter":
        upset = [outcome for outcome in points if (outcome.passed is None if lab.broken else COMPLAINT in outcome.seen)]
        fine = not verdict.build and bool(missed) and not upset
        return Judged(variant, fine, _told(upset) or verdict.build or f"{len(points) - len(missed)} of {len(points)}")
    if variant.kind == "excluded":
        found = re.search(variant.says, verdict.build)
        return Judged(variant, found is not None, f"does not compile: {found[0]}" if found else "it compiles")
    caught = [
        outcome for outcome in missed if outcome.id == variant.fails and re.search(variant.says, _told([outcome]))
    ]
    if variant.alone and len(missed) > len(caught):
        return Judged(variant, False, f"it shall miss {variant.fails} alone: {_told(missed)}")
    if caught:
        return Judged(variant, True, _told(caught))
    return Judged(variant, False, verdict.build or (_told(missed) if missed else "NOT FOUND: it passes"))


def run(
    labs: list[Lab], kernels_of: Callable[[Lab], Sequence[Kernel]], only: str = "", *, exactly: bool = False
) -> Iterator[Judged]:
    """Run the matrix, in its order, one after the other in one workspace: what has not changed is not built again.

    Args:
        kernels_of: what a lab is checked on.
        only: a part of the names of the variants wanted; the whole name where `exactly`.

    Raises:
        UsageError: there is no such variant.
    """
    wanted = [
        (lab, variant)
        for lab in labs
        for variant in variants(lab)
        if (only == variant.name if exactly else only in variant.name)
    ]
    if not wanted:
        raise UsageError(f"there is no variant {only}", "their names stand in labs/mutants/")
    for lab, variant in wanted:
        if variant.kind == "unobservable":
            yield Judged(variant, True, "not run")
            continue
        # One workspace for each lab, and one kit for all: two who run the matrix take turns.
        with home.lock("matrix"), _kit(variant):
            yield _judged(lab, variant, kernels_of(lab), home.room("matrix") / lab.name)


def as_markdown(judged: list[Judged]) -> str:
    """The matrix as a table."""
    lines = ["| lab | | variant | checkpoint | what the student reads |", "|---|---|---|---|---|"]
    for entry in judged:
        variant = entry.variant
        mark = "✓" if entry.fine else "✗"
        said = " ".join(entry.said.split())[:240].replace("|", "\\|")
        lines.append(f"| {variant.lab} | {mark} {variant.kind} | {variant.what} | {variant.fails} | {said} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _kit(variant: Variant) -> Iterator[None]:
    """Another kit, for the time that a variant needs one."""
    if variant.kind != "kit":
        yield
        return
    folder = home.room("matrix") / "kit"
    home.remove(folder)
    shutil.copytree(resources.kit(), folder)
    variant.edit(folder)
    before = os.environ.get("R4L_KIT")
    os.environ["R4L_KIT"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["R4L_KIT"]
        else:
            os.environ["R4L_KIT"] = before


def _judged(lab: Lab, variant: Variant, kernels: Sequence[Kernel], folder: Path) -> Judged:
    """Check it, and say whether that did right by it.

    A starter is judged where lab.toml says that it builds (`starts_on`); on the other kernels it must not build.
    """
    begins = [kernel for kernel in kernels if kernel.arch in lab.starts_on]
    if variant.kind != "starter" or len(begins) == len(kernels):
        return judge(lab, variant, _check(lab, variant, kernels, folder))
    for kernel in (kernel for kernel in kernels if kernel not in begins):
        if not _check(lab, variant, [kernel], folder).build:
            return Judged(variant, False, f"it builds for {kernel.arch}, and lab.toml says that it does not")
    return (
        judge(lab, variant, _check(lab, variant, begins, folder)) if begins else Judged(variant, True, "does not build")
    )


def _check(lab: Lab, variant: Variant, kernels: Sequence[Kernel], folder: Path) -> Verdict:
    if not folder.exists():
        Workspace.start(lab, folder)
    variant.write(folder, lab)
    return Check(Workspace(folder, lab), kernels).run()


def _variant(lab: Lab, kind: str, name: str, what: str, entry: Mapping[str, Any]) -> Variant:
    edits = tuple(entry.get("edits", ()))
    says = entry.get("error", entry.get("says", ""))
    return Variant(
        lab.name,
        kind,
        name,
        what,
        edits,
        entry.get("fails", ""),
        says,
        entry.get("files", ""),
        entry.get("alone", False),
    )


def _told(outcomes: list[Outcome]) -> str:
    return "; ".join(
        f"{outcome.id}: {' — '.join(text for text in (outcome.expected, outcome.seen, outcome.detail) if text)}"
        for outcome in outcomes
    )
