# SPDX-License-Identifier: MIT
"""How checkpoints ended, where a lab is checked on several kernels: reached is what is reached on each.

There are three ends: reached, missed, and not to be judged, which is this machine's fault and nobody's failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r4l.camp.labs.lab import Checkpoint

Result = Mapping[str, Any]
"""What results.json has of a checkpoint (r4l.camp.labs.checkpoints)."""


@dataclass(frozen=True)
class Outcome:
    """How one checkpoint or question ended.

    Attributes:
        id: of the checkpoint, or the question.
        title: what has to be; the question.
        kind: `checkpoint`, `hidden` or `question`.
        passed: None where it was not looked at, or could not be judged.
        expected: what had to be; may be empty.
        seen: what was.
        read: where to read about it. Of a question that is answered rightly the explanation; of one that is not
            answered nothing.
        detail: long text: the kernel's own words, what the compiler said.
        fault: why it could not be judged, a fault of the machine that checks; empty in all other cases.
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
class Run:
    """The checks on one kernel.

    Attributes:
        where: `for 7.3.4 (arm64): `; empty where there is one kernel only.
        results: of the checks that ran, by their checkpoints.
        build: what the compiler said where the module does not build; else empty.
        fault: why what has no result could not be judged; else empty.
        warnings: what the compiler warned of where the module builds.
    """

    where: str = ""
    results: Mapping[str, Result] = field(default_factory=dict)
    build: str = ""
    fault: str = ""
    warnings: str = ""

    def missing(self) -> str:
        """Why a check has no result."""
        reason = "the module does not build" if self.build else "not looked at: an earlier one never ended"
        return f"{self.where}{reason}".strip()


def together(points: Sequence[Checkpoint], runs: Sequence[Run]) -> Iterator[Outcome]:
    """The outcome of each checkpoint, then of each check that the lab does not know (a hidden one).

    A checkpoint that one kernel leaves out (its check is skipped there) is for the others to decide.
    """
    known = {point.id: point for point in points}
    hidden = {name: result for run in runs for name, result in run.results.items() if name not in known}
    for point in points:
        yield Outcome(point.id, str(point.title), "checkpoint", **_fields(point.id, runs, str(point.read)))
    for name, result in hidden.items():
        yield Outcome(name, result["title"] or name, "hidden", **_fields(name, runs))


def _fields(name: str, runs: Sequence[Run], read: str = "") -> dict[str, Any]:
    """What is told: a failure first, then what could not be judged, then what was not looked at."""
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
