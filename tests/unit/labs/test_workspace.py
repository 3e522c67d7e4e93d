# SPDX-License-Identifier: MIT
"""A student's folder: no file in it is lost, and no file outside is read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l import resources
from r4l.camp.labs.check import Check, fill
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import ANSWERS, LARGEST, STATE, Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import student
from r4l.errors import UsageError

HELLO = Lab.named("hello")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of lab 3, in a folder whose name the kernel's Makefile cannot handle."""
    return Workspace.start(HELLO, tmp_path / "我的 实验: hello")


@pytest.mark.parametrize("name", ["hello", "3", "03-hello"])
def test_a_lab_has_a_name_and_a_number(name: str) -> None:
    assert Lab.named(name).name == "hello"


def test_an_unknown_lab_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no lab nonsense") as caught:
        Lab.named("nonsense")
    assert "hello" in caught.value.remedy


def test_it_holds_handouts_starter_and_questions(workspace: Workspace) -> None:
    names = {path.name for path in workspace.folder.iterdir()}
    assert {"handout.md", "handout.zh-CN.md", "hello.rs", "Kbuild", ANSWERS, STATE} <= names
    assert workspace.answers() == {}
    assert Workspace.find(workspace.folder) == workspace


def test_a_second_start_touches_nothing(workspace: Workspace) -> None:
    (workspace.folder / "hello.rs").write_text("mine")
    with pytest.raises(UsageError, match="started"):
        Workspace.start(HELLO, workspace.folder)
    assert (workspace.folder / "hello.rs").read_text() == "mine"


def test_it_is_not_made_in_the_checkout() -> None:
    checkout = resources.checkout()
    assert checkout
    with pytest.raises(UsageError, match="checkout"):
        Workspace.start(HELLO, checkout / "my-hello")


def test_a_name_finds_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_LABS", str(tmp_path))
    with pytest.raises(UsageError, match="not a lab's workspace"):
        Workspace.find("hello")
    started = Workspace.start(HELLO)
    assert started.folder == tmp_path / "hello"
    assert Workspace.find("hello") == Workspace.find(3) == started  # type: ignore[arg-type]


def test_a_damaged_state_is_said(workspace: Workspace) -> None:
    (workspace.folder / STATE).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        Workspace.find(workspace.folder)


def test_sources_are_the_students_plain_files_only(workspace: Workspace) -> None:
    (workspace.folder / "notes.txt").write_text("x")
    (workspace.folder / "conftest.py").write_text("raise SystemExit")
    assert set(workspace.sources()) == {Path("hello.rs")}
    (workspace.folder / "hello.rs").unlink()
    (workspace.folder / "hello.rs").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="plain file"):
        workspace.sources()


def test_a_fifo_and_a_huge_file_are_no_sources(workspace: Workspace) -> None:
    source = workspace.folder / "hello.rs"
    with source.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UsageError, match="at most"):
        workspace.sources()
    source.unlink()
    os.mkfifo(source)
    with pytest.raises(UsageError, match="plain file"):
        workspace.sources()


def test_answers_are_read_and_a_broken_sheet_is_said(workspace: Workspace) -> None:
    (workspace.folder / ANSWERS).write_text('vermagic = "vermagic"\ntaint = "  "\n')
    assert workspace.answers() == {"vermagic": "vermagic"}
    (workspace.folder / ANSWERS).write_text("vermagic = vermagic")
    with pytest.raises(UsageError, match="cannot be read"):
        workspace.answers()


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ('vermagick = "x"', r"answers\.toml: the lab has no question vermagick", "did you mean vermagic?"),
        ('[answers]\nvermagic = "x"', "the lab has no question answers", "its questions are "),
        ('"\\u001b]0;x" = "x"', r"the lab has no question \\x1b\]0;x", "its questions are "),
    ],
)
def test_an_answer_to_no_question_is_said_before_anything_is_built(
    text: str, said: str, remedy: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("kernels were set up")

    monkeypatch.setattr(student, "prepare_kernels", never)
    (workspace.folder / ANSWERS).write_text(text)
    for command in (["check", str(workspace.folder)], ["submit", str(workspace.folder), "--name", "A"]):
        done = CliRunner().invoke(cli.command, command)
        assert isinstance(done.exception, UsageError)
        assert re.search(said, done.exception.cause)
        assert done.exception.remedy.startswith(remedy)


def test_blank_lines_of_the_sheet_are_no_answers(workspace: Workspace) -> None:
    (workspace.folder / ANSWERS).write_text('vermagic = "x"\nolder = ""\n')
    workspace.require_known_answers()


def test_a_sheet_that_is_a_folder_is_said(workspace: Workspace) -> None:
    (workspace.folder / ANSWERS).unlink()
    assert workspace.answers() == {}
    (workspace.folder / ANSWERS).mkdir()
    with pytest.raises(UsageError, match="is not a plain file"):
        workspace.answers()


def test_a_broken_sheet_is_said_before_anything_is_built(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was built or set up")

    monkeypatch.setattr(Check, "_runs", never)
    monkeypatch.setattr(student, "prepare_kernels", never)
    (workspace.folder / ANSWERS).write_text('vermagic = "vermagic')
    with pytest.raises(UsageError, match="cannot be read"):
        Check(workspace, []).run()
    done = CliRunner().invoke(cli.command, ["check", str(workspace.folder)])
    assert isinstance(done.exception, UsageError)


def test_what_is_built_is_the_labs_kbuild_and_the_students_source(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.folder / "Kbuild").write_text("$(shell touch /tmp/pwned)")
    (workspace.folder / "hello.rs").write_text("// mine")
    build = tmp_path / "build"
    (build / "old").mkdir(parents=True)
    (build / "old" / "stale.rs").write_text("x")
    fill(build, HELLO, workspace.sources())
    assert (build / "Kbuild").read_text() == (HELLO.starter / "Kbuild").read_text()
    assert (build / "hello.rs").read_text() == "// mine"
    assert not (build / "old" / "stale.rs").exists()
    before = (build / "hello.rs").stat().st_mtime_ns
    fill(build, HELLO, workspace.sources())
    assert (build / "hello.rs").stat().st_mtime_ns == before


def test_attempts_are_kept(workspace: Workspace) -> None:
    workspace.note({"reached": 2, "of": 8})
    workspace.note_hints("greets", 1)
    workspace.note({"reached": 3, "of": 8})
    state = json.loads((workspace.folder / STATE).read_text())
    assert [attempt["reached"] for attempt in state["attempts"]] == [2, 3]
    assert workspace.hints_given("greets") == 1
    assert workspace.hints_given("loads") == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"lab": 5, "attempts": []}',
        '{"lab": null, "attempts": []}',
        '{"lab": ["hello"], "attempts": []}',
        '["hello"]',
        '"hello"',
        "5",
        '{"lab": "hello", "attempts": null}',
        '{"lab": "hello", "attempts": [], "hints": null}',
        '{"lab": "hello", "attempts": [], "hints": []}',
        '{"lab": "hello", "attempts": [], "hints": {"loads": "1"}}',
        '{"lab": "hello", "attempts": [' + "[" * 100_000,
    ],
)
def test_a_damaged_record_is_told(text: str, workspace: Workspace) -> None:
    (workspace.folder / STATE).write_text(text)
    for words in (["hint", str(workspace.folder)], ["check", str(workspace.folder)]):
        done = CliRunner().invoke(cli.command, words)
        assert isinstance(done.exception, UsageError)
        assert "is damaged" in done.exception.cause


def test_answers_of_notepad_are_read(workspace: Workspace) -> None:
    (workspace.folder / ANSWERS).write_text('vermagic = "x"\n', encoding="utf-8-sig")
    assert workspace.answers() == {"vermagic": "x"}


@pytest.mark.parametrize("out", ["no/such/folder/x.zip", "link"])
def test_a_place_for_the_bundle_is_refused_before_the_check(
    out: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "prepare_kernels", lambda *_: pytest.fail("kernels were set up"))
    (tmp_path / "link").symlink_to("nowhere")
    words = ["submit", str(workspace.folder), "--name", "A", "-o", str(tmp_path / out)]
    assert isinstance(CliRunner().invoke(cli.command, words).exception, UsageError)
    assert (tmp_path / "link").is_symlink()
