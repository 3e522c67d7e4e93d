# SPDX-License-Identifier: MIT
"""A student's name comes from git, in any script; no two students share a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l.camp.labs import bundle, pages
from r4l.camp.labs.check import Verdict
from r4l.camp.labs.grade import Grade
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.student import guess_student, require_student, slug
from r4l.camp.labs.workspace import LONGEST, Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import student
from r4l.errors import UsageError
from r4l.scaffold import known_names


def git_says(data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a git that knows this name first in the path."""
    (folder / "name").write_bytes(data)
    (folder / "git").write_text(f"#!/bin/sh\ncat '{folder}/name'\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("said", "name"), [("李华", "李华"), ("Zoë", "Zoë"), ("李\u3000华", "李 华"), ("买买提·艾力", "买买提·艾力")]
)
def test_the_student_is_who_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, name: str) -> None:
    git_says(f"{said}\n".encode(), tmp_path, monkeypatch)
    assert guess_student() == name


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"Li\x1b[2JHua", b"x" * (LONGEST + 1)])
def test_a_name_that_cannot_be_printed_is_the_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    git_says(said, tmp_path, monkeypatch)
    assert guess_student() in known_names()[1:]


def test_submit_takes_the_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_says("李华".encode(), tmp_path, monkeypatch)
    work, written = Workspace.start(Lab.named("hello"), tmp_path / "work").folder, []

    class Done:
        kernels = evidence = None

    monkeypatch.setattr(student, "_check", lambda *_: (Done, Verdict("hello", "7.3.4", ())))
    monkeypatch.setattr(bundle, "write", lambda *arguments: written.append(arguments))
    done = CliRunner().invoke(cli.command, ["submit", str(work)])
    assert (written[0][0].name, written[0][2]) == ("李华-hello.zip", "李华"), done.output
    done = CliRunner().invoke(cli.command, ["submit", str(work), "--name", "\x1b[2J"])
    assert isinstance(done.exception, UsageError)
    assert len(written) == 1


@pytest.mark.parametrize("name", ["", " ", "x" * (LONGEST + 1), "a\x1bb", "\ud800", "a\u200bb"])
def test_names_that_nobody_can_read_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a student's name") as caught:
        require_student(name)
    assert caught.value.cause.isprintable()


def test_usual_names_are_file_names_as_they_are() -> None:
    assert [slug(name) for name in ("Li Hua", "李华", "Zoë")] == ["Li-Hua", "李华", "Zoë"]


def test_no_two_names_share_a_file_and_all_are_valid() -> None:
    odd = ["Li-Hua", "Li  Hua", "-Li Hua", "Li.Hua", "index", "Index", "/", "..", "·", "华" * LONGEST, "华" * 199]
    slugs = [slug(name) for name in ["Li Hua", slug("Li-Hua"), *odd]]
    assert len(set(slugs)) == len(slugs)
    assert not {"index", "Index", ".", ".."} & set(slugs)
    longest = [f".{one}-completion.2026-01-01T000000+0000.partial.1234567" for one in slugs]
    assert all("/" not in name and len(name.encode()) <= 255 for name in longest)


def test_each_student_has_a_page_and_the_class_has_its_own(tmp_path: Path) -> None:
    verdict = {"reached": 0, "of": 0, "full": False, "outcomes": [], "kernel": "7.3.4", "build": ""}
    names = ("Li Hua", "Li-Hua", "index")
    index = pages.write(tmp_path, [Grade(name, "hello", "2026", "2026", 0, verdict, []) for name in names])
    assert len(list(tmp_path.glob("*.html"))) == len(names) + 1
    assert all(name in index.read_text() for name in names)
