# SPDX-License-Identifier: MIT
"""A hint, from within a workspace and from outside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.workspace import Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import student
from r4l.errors import UsageError

POINTS = {point.id: point for point in Lab.named("hello").checkpoints}
FIRST = next(iter(POINTS))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of lab 3 in its default folder, which is the current folder."""
    monkeypatch.setenv("R4L_LABS", str(tmp_path))
    started = Workspace.start(Lab.named("hello"))
    monkeypatch.chdir(started.folder)
    return started


def hint(*arguments: str) -> str:
    """Return the output of `r4l lab hint`."""
    done = CliRunner().invoke(cli.command, ["hint", *arguments])
    if done.exception:
        raise done.exception
    return done.stdout


@pytest.mark.parametrize("arguments", [["greets"], [".", "greets"], ["hello", "greets"], ["3", "greets"]])
def test_a_checkpoint_of_the_workspace_one_is_in(workspace: Workspace, arguments: list[str]) -> None:
    assert hint(*arguments).startswith(f"{POINTS['greets'].title}\n1. {POINTS['greets'].hints[0]}\n")
    assert workspace.hints_given("greets") == 1


@pytest.mark.parametrize("arguments", [[], ["."], ["../hello"], ["hello"], ["03-hello"], ["3"]])
def test_without_a_checkpoint_it_is_the_one_that_one_is_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    assert hint(*arguments).startswith(f"{POINTS[FIRST].title}\n")
    *_, last = POINTS
    outcomes = tuple(Outcome(point, "", "checkpoint", point != last) for point in POINTS)
    monkeypatch.setattr(student, "prepare_kernels", lambda *_: [SimpleNamespace()])
    monkeypatch.setattr(Check, "run", lambda _: Verdict("hello", "7.3.4", outcomes))
    student._check(workspace, None, None)
    monkeypatch.setattr(Check, "run", lambda _: Verdict("hello", "7.3.4", outcomes, build="error[E0433]"))
    student._check(workspace, None, None)
    assert hint(*arguments).startswith(f"{POINTS[last].title}\n")


def test_where_all_is_reached_a_checkpoint_has_to_be_named(workspace: Workspace) -> None:
    workspace.note({"reached": 9, "of": 9, "next": ""})
    with pytest.raises(UsageError, match="reached all"):
        hint()
    assert hint("greets")


def test_attempts_of_before_have_no_next(workspace: Workspace) -> None:
    workspace.note({"reached": 1, "of": 9})
    assert hint().startswith(f"{POINTS[FIRST].title}\n")


@pytest.mark.parametrize("arguments", [["greetz"], ["hello", "greetz"], [".", "greetz"]])
def test_a_slip_is_told_the_checkpoints(workspace: Workspace, arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="no checkpoint greetz") as caught:
        hint(*arguments)
    assert "greets" in caught.value.remedy


def test_a_question_has_no_hints(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="taint is a question, and questions have no hints"):
        hint("hello", "taint")


def test_from_outside_a_workspace(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(POINTS["greets"].hints[-1]) in hint("hello", "greets", "--all")
    with pytest.raises(UsageError, match="not a lab's workspace"):
        hint()
    with pytest.raises(UsageError, match="no lab greets"):
        hint("greets")


def test_a_checkpoint_that_is_called_as_a_lab_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    cicv = Workspace.start(Lab.named("cicv"))
    monkeypatch.chdir(cicv.folder)
    hint("hello")
    assert (cicv.hints_given("hello"), workspace.hints_given(FIRST)) == (1, 0)
