# SPDX-License-Identifier: MIT
"""`--json` prints one document, whatever its verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l import clean, ide
from r4l import cli as cli_room
from r4l.camp.demo import Demo
from r4l.cli import clean as cli_clean
from r4l.cli import ide as cli_ide
from r4l.errors import EnvironmentFault, VerdictError
from r4l.ide import check
from r4l.ide.check import Understood
from r4l.report import model

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the program and returns its exit code and the document on its standard output."""

    def run(*words: str) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", ["r4l", *words])
        code = cli_room._run({})
        return code, json.loads(capsys.readouterr().out)

    return run


def test_a_demo_whose_step_fails(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(one: Demo) -> model.Result:
        one.result.steps.append(model.Step("A7", "ping", seen="100% packet loss", ok=False))
        one.result.save(one.folder)
        return one.result

    monkeypatch.setattr(Demo, "run", run)
    code, told = call("demo", "--out", str(tmp_path), "--json")
    assert (code, told["steps"][0]["seen"]) == (VerdictError.exit_code, "100% packet loss")


def test_what_cannot_be_removed(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = clean.Entry("images", "debian", tmp_path / "debian", "in use", "by process 7")
    monkeypatch.setattr(clean, "survey", lambda: [used])
    monkeypatch.setattr(clean, "named_image", lambda entries, _: list(entries))
    monkeypatch.setattr(cli_clean, "_removed", lambda entry, _: entry)
    code, told = call("clean", "--image", "debian", "--json")
    assert (code, told["entries"][0]["state"]) == (EnvironmentFault.exit_code, "in use")


def test_files_that_editors_do_not_understand(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := x.o\n")
    files: Any = SimpleNamespace(folder=tmp_path, projects=[], commands=None, settings=tmp_path, programs={})
    files.changed, files.kept, files.broken = [], (), None
    errors: Sequence[Any] = ["x.rs:1: no such name"]
    monkeypatch.setattr(cli_ide, "set_up", lambda *_, **__: None)
    monkeypatch.setattr(ide, "for_module", lambda *_, **__: files)
    monkeypatch.setattr(check, "module", lambda *_: Understood((tmp_path,), errors=tuple(errors)))
    code, told = call("ide", str(tmp_path), "--check", "--json")
    assert (code, told["checked"]["errors"]) == (VerdictError.exit_code, errors)
