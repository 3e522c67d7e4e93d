# SPDX-License-Identifier: MIT
"""Combine results of several kernels: a checkpoint is reached if it is reached on each.

There are three results: reached, missed, and not judged, which is a fault of this machine and counts against nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r4l.camp.labs.lab import Checkpoint

Result = Mapping[str, Any]
"""Entry of results.json for a checkpoint (r4l.camp.labs.checkpoints)."""


@dataclass(frozen=True)
class Outcome:
    """Result of one checkpoint or question.

    Attributes:
        id: of the checkpoint or question.
        title: the requirement, or the question.
        kind: `checkpoint`, `hidden` or `question`.
        passed: None if it was not checked or could not be judged.
        expected: required value; may be empty.
        seen: actual value.
        read: reference to read; the explanation after a right answer; empty for a question without answer.
        detail: long text: the kernel's log, the compiler's output.
        fault: reason why this machine could not judge; empty in all other cases.
    """

    id: str
    title: str
    kind: str
    passed: bool | None
    expected: str = ""
    seen: str = ""
    read: str = ""
    detail: str = ""
    fault: str = ""


@dataclass(frozen=True)
class KernelRun:
    """The checks on one kernel.

    Attributes:
        where: `for 7.3.4 (arm64): `; empty if there is only one kernel.
        results: of the checks that ran, by checkpoint.
        build: output of the compiler if the module does not build; else empty.
        fault: reason why checks without result could not be judged; else empty.
        warnings: the compiler's warnings if the module builds.
    """

    where: str = ""
    results: Mapping[str, Result] = field(default_factory=dict)
    build: str = ""
    fault: str = ""
    warnings: str = ""

    def missing(self) -> str:
        """Return the reason why a check has no result."""
        reason = "the module does not build" if self.build else "not looked at: an earlier one never ended"
        return f"{self.where}{reason}".strip()


def merged_outcomes(points: Sequence[Checkpoint], runs: Sequence[KernelRun]) -> Iterator[Outcome]:
    """Yield the outcome of each checkpoint, then of each hidden check.

    A checkpoint that one kernel skips is decided by the others.
    """
    known = {point.id: point for point in points}
    hidden = {name: result for run in runs for name, result in run.results.items() if name not in known}
    for point in points:
        yield Outcome(point.id, str(point.title), "checkpoint", **_fields(point.id, runs, str(point.read)))
    for name, result in hidden.items():
        yield Outcome(name, result["title"] or name, "hidden", **_fields(name, runs))


def _fields(name: str, runs: Sequence[KernelRun], read: str = "") -> dict[str, Any]:
    """Return the fields of an outcome: a failure first, else a checkpoint not judged, else one not checked."""
    found = [(run, run.results.get(name)) for run in runs]
    for run, result in found:
        if result and result["passed"] is False:
            texts = {key: result[key] for key in ("expected", "seen", "detail") if key in result}
            return {"passed": False, "read": read, **texts, "seen": f"{run.where}{texts.get('seen', '')}"}
    for run, result in found:
        fault = result.get("fault", "") if result else run.fault
        if fault:
            return {"passed": None, "read": read, "seen": "", "fault": f"{run.where}{fault}"}
    for run, result in found:
        if result is None:
            return {"passed": None, "seen": run.missing()}
    skipped = [result["skipped"] for _, result in found if result and result["skipped"]]
    if len(skipped) == len(runs):
        return {"passed": None, "read": read, "seen": skipped[0]}
    return {"passed": True, "read": read}
