# SPDX-License-Identifier: MIT
"""Test the graders: each wrong answer must fail with a message that names its bug, each right one must pass.

The variants are in `labs/mutants/LAB.toml`, as edits of the reference answer:
* `[NAME]`, a bug: `bug`, the checkpoint that `fails`, the student's message (`says`, a regular expression); with
    `alone` no other checkpoint may fail;
* `[kit.NAME]`, a bug that a driver without `unsafe` cannot have: the same keys, edits of the kit;
* `[right.NAME]`, a right answer written differently: `what`; as edits, or whole `files` of a folder;
* `[excluded.NAME]`, a bug that does not compile: `why`, and the compiler's `error`;
* `[unobservable.NAME]`, a bug that no check can observe on an emulator: `why`. It is listed and not run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import home, resources, user_tables
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.workspace import Workspace
from r4l.errors import R4LError, UsageError
from r4l.kernel import Kernel

VARIANT_KINDS = {"right": "what", "kit": "bug", "excluded": "why", "unobservable": "why"}
"""Tables beside the mutants, and the key that describes their entries."""

_EDIT = {"file": str, "old": str, "new": str}
_FOUND = {"bug": str, "fails": str, "says": str, "edits": [_EDIT], "alone?": bool}
SHAPE = {
    "right?": {"*": {"what": str, "edits?": [_EDIT], "files?": str}},
    "kit?": {"*": _FOUND},
    "excluded?": {"*": {"why": str, "error": str, "edits": [_EDIT], "bug?": str}},
    "unobservable?": {"*": {"why": str, "edits?": [_EDIT], "bug?": str}},
    "*": _FOUND,
}
"""Keys of a file of labs/mutants."""

COMPLAINT = "the kernel complained"
"""Begin of a Splat's message (r4l.klog.splat).

A starter may miss checkpoints but must not break the kernel, unless the lab is about repairing that (`Lab.broken`).
Every checkpoint of such a starter must be judged: it must not hang.
"""


@dataclass(frozen=True)
class Variant:
    """A variant of a lab's reference answer.

    Attributes:
        lab: name of the lab.
        kind: `mutant`, `kit`, `right`, `excluded`, `unobservable`, or `answer` and `starter` themselves.
        name: name of the variant.
        what: the bug, or the difference from the reference answer.
        edits: file, text that occurs once, replacement.
        fails: the checkpoint that a mutant must fail.
        says: pattern for its report.
        files: a folder of labs/mutants/ whose files replace those of the reference answer.
        alone: True if no other checkpoint may fail.
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

    @property
    def only(self) -> tuple[str, ...] | None:
        """Checkpoints that the graders are judged by; None for all."""
        return (self.fails,) if self.fails and not self.alone else None

    def write(self, folder: Path, lab: Lab) -> None:
        """Write the variant into a workspace.

        Raises:
            R4LError: an edit no longer applies to the reference answer.
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
        """Apply the edits to a folder: a workspace, or a copy of the kit.

        Raises:
            R4LError: an edit no longer applies.
        """
        for edit in self.edits:
            file = folder / edit["file"]
            text = file.read_text(encoding="utf-8")
            if text.count(edit["old"]) != 1:
                raise R4LError(f"{self.lab}: {self.name} no longer applies to {edit['file']}", "update its edits")
            file.write_text(text.replace(edit["old"], edit["new"]), encoding="utf-8")


@dataclass(frozen=True)
class Judged:
    """Result for a variant.

    Attributes:
        variant: the variant.
        fine: True if the graders judged it correctly.
        said: the student's message, or the reason why the graders were wrong.
    """

    variant: Variant
    fine: bool
    said: str


def variants(lab: Lab) -> list[Variant]:
    """Return a lab's variants: the reference answer, the starter, and the entries of labs/mutants/.

    Raises:
        UsageError: the lab's file there cannot be read, or does not have its shape.
    """
    found = [
        Variant(lab.name, "answer", "answer", "the reference answer"),
        Variant(lab.name, "starter", "starter", "the starter as it is"),
    ]
    file = resources.labs() / "mutants" / f"{lab.name}.toml"
    table = user_tables.read(file, SHAPE) if file.is_file() else {}
    for kind, what in VARIANT_KINDS.items():
        for name, entry in table.pop(kind, {}).items():
            found.append(_variant(lab, kind, name, entry[what], entry))
    found += [_variant(lab, "mutant", name, entry["bug"], entry) for name, entry in table.items()]
    return found


def judge(lab: Lab, variant: Variant, verdict: Verdict) -> Judged:
    """Judge the graders by their verdict on a variant."""
    if verdict.unjudged:
        return Judged(variant, False, f"it could not be judged: {verdict.unjudged[0].fault}")
    points = [outcome for outcome in verdict.outcomes if outcome.kind == "checkpoint"]
    if variant.only is not None:
        points = [outcome for outcome in points if outcome.id in variant.only]
    missed = [outcome for outcome in points if outcome.passed is not True]
    if variant.kind in ("right", "answer"):
        return Judged(variant, not missed, "full mark" if not missed else verdict.build or _told(missed))
    if variant.kind == "starter":
        upset = [outcome for outcome in points if (outcome.passed is None if lab.broken else COMPLAINT in outcome.seen)]
        fine = not verdict.build and bool(missed) and not upset
        return Judged(variant, fine, _told(upset) or verdict.build or f"{len(points) - len(missed)} of {len(points)}")
    if variant.kind == "excluded":
        found = re.search(variant.says, verdict.build)
        said = f"does not compile: {found[0]}" if found else verdict.build or "it compiles"
        return Judged(variant, found is not None, said)
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
    """Run the matrix in order, in one workspace a lab, so that unchanged parts are not rebuilt.

    Args:
        kernels_of: returns the kernels of a lab.
        only: part of the wanted variants' names; the whole name if `exactly`.

    Raises:
        UsageError: no such variant exists.
    """
    wanted = [
        (lab, variant)
        for lab in labs
        for variant in variants(lab)
        if (only == variant.name if exactly else only in variant.name)
    ]
    if not wanted:
        raise UsageError(f"there is no variant {only}", "use a name from labs/mutants/")
    for lab, variant in wanted:
        if variant.kind == "unobservable":
            yield Judged(variant, True, "not run")
            continue
        # A lab's workspace and kit are shared: concurrent runs of its matrix take turns.
        with home.lock(f"matrix-{lab.name}"), _kit(variant):
            yield _judged(lab, variant, kernels_of(lab), home.room("matrix") / lab.name)


def as_markdown(judged: list[Judged]) -> str:
    """Return the matrix as a table."""
    lines = ["| lab | | variant | checkpoint | what the student reads |", "|---|---|---|---|---|"]
    for entry in judged:
        variant = entry.variant
        mark = "✓" if entry.fine else "✗"
        said = " ".join(entry.said.split())[:240].replace("|", "\\|")
        lines.append(f"| {variant.lab} | {mark} {variant.kind} | {variant.what} | {variant.fails} | {said} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _kit(variant: Variant) -> Iterator[None]:
    """Replace the kit while a variant needs another one."""
    if variant.kind != "kit":
        yield
        return
    folder = home.room("matrix") / f"{variant.lab}.kit"
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
    """Check a variant and judge the graders.

    A starter is checked on the architectures of `starts_on` in lab.toml; on the others it must not build.
    """
    begins = [kernel for kernel in kernels if kernel.arch in lab.starts_on]
    if variant.kind != "starter" or len(begins) == len(kernels):
        return judge(lab, variant, _check(lab, variant, kernels, folder))
    for kernel in (kernel for kernel in kernels if kernel not in begins):
        if not _check(lab, variant, [kernel], folder).build:
            return Judged(variant, False, f"it builds for {kernel.arch}, contrary to lab.toml")
    return (
        judge(lab, variant, _check(lab, variant, begins, folder)) if begins else Judged(variant, True, "does not build")
    )


def _check(lab: Lab, variant: Variant, kernels: Sequence[Kernel], folder: Path) -> Verdict:
    if not folder.exists():
        Workspace.start(lab, folder)
    variant.write(folder, lab)
    return Check(Workspace(folder, lab), kernels, only=variant.only).run()


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
