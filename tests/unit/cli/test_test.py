# SPDX-License-Identifier: MIT
"""`r4l test`: pytest in a driver's folder, with our exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def r4l_test(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "r4l", "test", *arguments]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pytest.ini").write_text("[pytest]\n")
    (tmp_path / "mine/test_it.py").write_text(
        "def test_good(request):\n    assert request.config.getoption('--arch') == 'arm64'\n\n\n"
        "def test_bad(request):\n    assert request.config.getoption('--kernel') == ['debug']\n"
    )
    return tmp_path / "mine"


def test_options_and_arguments_reach_pytest(folder: Path) -> None:
    done = r4l_test(folder.parent, "mine", "--arch", "arm64", "--kernel", "debug")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    here = r4l_test(folder, "--arch", "arm64", "--", "-k", "good")
    assert here.returncode == 0, here.stdout + here.stderr
    assert "1 passed, 1 deselected" in here.stdout


def test_exit_codes(folder: Path) -> None:
    assert r4l_test(folder).returncode == 123, "a test fails"
    assert r4l_test(folder, "--", "-k", "nothing").returncode == 2, "no tests"
    assert r4l_test(folder, "--", "--no-such-option").returncode == 2
    missing = r4l_test(folder, "elsewhere")
    assert missing.returncode == 2
    assert "elsewhere is no folder" in missing.stderr
