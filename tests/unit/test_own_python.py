# SPDX-License-Identifier: MIT
"""Python is started so that it imports nothing from the current folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import own_python

SOURCES = Path(own_python.__file__).parent
PYTEST = {"cli/test.py", "cli/rows.py", "camp/labs/running.py"}
"""Files that start pytest, in the folder of the tests."""


def test_python_is_started_without_the_current_folder() -> None:
    """Regression: the launcher and `r4l run --keep` imported modules of the folder that they were called in."""
    begun = re.compile(r"""sys\.executable,\s*["']-[mc]["']""")
    files = {file.relative_to(SOURCES).as_posix(): file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py")}
    assert {name for name, text in files.items() if begun.search(text)} == PYTEST


def test_pythons_that_a_library_starts_leave_the_current_folder_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("print('hostile')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    argv = [sys.executable, "-c", "import click"]
    with own_python.safe_path():
        assert subprocess.run(argv, capture_output=True, check=True).stdout == b""
    assert "PYTHONSAFEPATH" not in os.environ
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"hostile\n"


def test_the_users_own_safe_path_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    with own_python.safe_path():
        pass
    assert os.environ["PYTHONSAFEPATH"] == "1"
