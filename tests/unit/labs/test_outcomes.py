# SPDX-License-Identifier: MIT
"""Outcomes: a checkpoint is reached if it is on each kernel; some architectures may refuse a starter; a wrong answer
gets a reference to read."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.lab import Checkpoint, Lab, LocalizedText
from r4l.camp.labs.matrix import Variant
from r4l.camp.labs.outcomes import KernelRun, Outcome, merged_outcomes
from r4l.camp.labs.workspace import ANSWERS, Workspace
from r4l.cli.lab.shown import show
from r4l.kernel import Kernel
from r4l.terminal import Console

POINT = Checkpoint("time", LocalizedText("It measures time", "它测量时间"), LocalizedText("handout 2", "讲义第 2 节"))
PASSED: dict[str, Any] = {"title": "", "passed": True, "skipped": ""}
FAILED = {**PASSED, "passed": False, "expected": "200 to 220", "seen": "0", "detail": ""}
SKIPPED = {**PASSED, "skipped": "this kernel has no trace events"}
ARM64, X86_64 = "for 7.3.4 (arm64): ", "for 7.3.4 (x86_64): "


def outcome(arm64: dict[str, Any] | None, x86_64: dict[str, Any] | None) -> Outcome:
    """Return the outcome of a checkpoint with the given results; None stands for a check that did not run."""
    runs = [
        KernelRun(where, {"time": result} if result else {}) for where, result in ((ARM64, arm64), (X86_64, x86_64))
    ]
    (found,) = merged_outcomes([POINT], runs)
    return found


@pytest.mark.parametrize(
    ("arm64", "x86_64", "passed", "seen"),
    [
        (PASSED, PASSED, True, ""),
        (FAILED, PASSED, False, ARM64 + "0"),
        (PASSED, FAILED, False, X86_64 + "0"),
        (None, FAILED, False, X86_64 + "0"),
        (None, PASSED, None, ARM64 + "not looked at: an earlier one never ended"),
        (PASSED, None, None, X86_64 + "not looked at: an earlier one never ended"),
        # A check of one architecture only is left out on the other.
        (SKIPPED, PASSED, True, ""),
        (PASSED, SKIPPED, True, ""),
        (SKIPPED, FAILED, False, X86_64 + "0"),
        (SKIPPED, SKIPPED, None, "this kernel has no trace events"),
    ],
)
def test_the_worst_counts(
    arm64: dict[str, Any] | None, x86_64: dict[str, Any] | None, passed: bool | None, seen: str
) -> None:
    found = outcome(arm64, x86_64)
    assert (found.passed, found.seen) == (passed, seen)
    assert found.expected == ("200 to 220" if passed is False else "")


def test_a_wrong_answer_is_told_where_to_read_and_a_right_one_why(tmp_path: Path) -> None:
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    (workspace.folder / ANSWERS).write_text('vermagic = "license"\ntaint = "O"\n')
    questions = workspace.lab.questions
    found = tuple(Check(workspace, [])._answers())
    assert [outcome.passed for outcome in found] == [False, True, None]
    assert [outcome.read for outcome in found] == [str(questions[0].read), str(questions[1].why), ""]
    said = io.StringIO()
    show(Verdict("hello", "7.3.4", found), Console(file=said, soft_wrap=True))
    assert f"read     {questions[0].read}\n" in said.getvalue()
    assert f"    {questions[1].why}\n" in said.getvalue()
    assert str(questions[2].read) not in said.getvalue()


def test_what_several_miss_in_the_same_way_is_told_once() -> None:
    def missed(name: str, seen: str) -> Outcome:
        return Outcome(name, f"the {name}", "checkpoint", False, expected="a link: up", seen=seen, read=f"of {name}")

    found = (missed("rings", "down"), missed("ping", "down"), missed("quiet", ""))
    said = io.StringIO()
    show(Verdict("hello", "7.3.4", found), Console(file=said, soft_wrap=True))
    assert said.getvalue().count("a link: up") == 2
    assert "✗ ping  the ping\n    the same as at rings\n" in said.getvalue()
    assert "seen     nothing\n" in said.getvalue()


def test_what_one_compiler_refuses_is_reached_nowhere() -> None:
    (found,) = merged_outcomes([POINT], [KernelRun(ARM64, build="error[E0433]")])
    assert (found.passed, found.seen) == (None, ARM64 + "the module does not build")


def test_one_kernel_is_not_named_and_hidden_checks_come_last() -> None:
    found = list(
        merged_outcomes([POINT], [KernelRun("", {"secret": {**FAILED, "title": "A hidden one"}, "time": FAILED})])
    )
    assert [(entry.id, entry.kind, entry.seen) for entry in found] == [
        ("time", "checkpoint", "0"),
        ("secret", "hidden", "0"),
    ]
    assert found[1].title == "A hidden one"


@pytest.mark.parametrize(
    ("builds", "fine", "said"),
    [
        (["x86_64"], True, "0 of 1"),
        (["x86_64", "arm64"], False, "it builds for arm64"),
        ([], False, "E0433"),
    ],
)
def test_a_starter_builds_where_lab_toml_says_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, builds: list[str], fine: bool, said: str
) -> None:
    lab = replace(Lab.named("hello"), arches=("arm64", "x86_64"), starts_on=("x86_64",))
    kernels = cast(list[Kernel], [SimpleNamespace(arch=arch) for arch in lab.arches])

    def check(_lab: Lab, _variant: Variant, on: list[Kernel], _folder: Path) -> Verdict:
        build = "" if all(kernel.arch in builds for kernel in on) else "E0433"
        return Verdict("hello", "7.3.4", (Outcome("loads", "", "checkpoint", None if build else False),), build)

    monkeypatch.setattr(matrix, "_check", check)
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    (judged,) = matrix.run([lab], lambda _: kernels, only="starter", exactly=True)
    assert judged.fine is fine
    assert said in judged.said


def test_a_starter_builds_everywhere_unless_lab_toml_says_otherwise() -> None:
    assert all(set(lab.starts_on) <= set(lab.arches) for lab in Lab.all())
    assert Lab.named("hello").starts_on == ("x86_64",)
