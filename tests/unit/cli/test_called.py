# SPDX-License-Identifier: MIT
"""Commands suggested to the user work in the user's present folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from r4l.cli.called import COMMAND, as_called, called


@pytest.mark.parametrize(
    ("command", "text", "said"),
    [
        ("./r4l", "run `r4l setup`, then `r4l lab check`", "run `./r4l setup`, then `./r4l lab check`"),
        ("./r4l", "r4l needs 10 GiB; `r4l-agent` and `r4l`", "r4l needs 10 GiB; `r4l-agent` and `r4l`"),
        ("/my tools/r4l", "run `r4l setup`", "run `'/my tools/r4l' setup`"),
        (None, "run `r4l setup`", "run `r4l setup`"),
    ],
)
def test_commands_begin_as_the_program_was_called(
    monkeypatch: pytest.MonkeyPatch, command: str | None, text: str, said: str
) -> None:
    if command:
        monkeypatch.setenv(COMMAND, command)
    assert as_called(text) == said


@pytest.mark.parametrize(("command", "said"), [("./r4l", "{here}/r4l"), ("/opt/r4l", "/opt/r4l"), ("r4l", "r4l")])
def test_from_another_folder_it_is_called_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, said: str
) -> None:
    monkeypatch.setenv(COMMAND, command)
    monkeypatch.chdir(tmp_path)
    assert called(anywhere=True) == said.format(here=tmp_path)


def test_a_remedy_and_the_next_step_can_be_pasted(tmp_path: Path) -> None:
    env = {**os.environ, COMMAND: "../r4l", "R4L_LABS": str(tmp_path)}
    check = [sys.executable, "-m", "r4l", "lab", "check", "hello"]
    done = subprocess.run(check, env=env, capture_output=True, text=True)
    assert "`../r4l lab start NAME`" in done.stderr
    start = [sys.executable, "-m", "r4l", "lab", "start", "hello"]
    done = subprocess.run(start, env=env, capture_output=True, text=True, check=True)
    assert "then: ../r4l lab check hello" in done.stderr
    assert called() == "r4l"
