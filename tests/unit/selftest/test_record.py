# SPDX-License-Identifier: MIT
"""Seconds and failures of tests, recorded by a plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r4l.selftest import record


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_each_test_once_however_many_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_quick():\n    pass\ndef test_slow():\n    time.sleep(0.3)\n", encoding="utf-8"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", record.__name__, *workers]
    subprocess.run([*argv, "--r4l-part=some", "."], cwd=tmp_path, check=True, capture_output=True)
    record.keep("some", seconds=1.5)
    kept = record.load()["some"]
    tests = kept["tests"]
    assert isinstance(tests, dict)
    assert set(tests) == {"test_it.py::test_quick", "test_it.py::test_slow"}
    assert kept["seconds"] == 1.5
    ((taken, part, test),) = record.slowest(["some", "other"], 1)
    assert (part, test) == ("some", "test_it.py::test_slow")
    assert taken >= 0.3


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_each_failure_with_its_reason_and_none_of_the_run_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    file = tmp_path / "test_it.py"
    file.write_text(
        "import pytest\n"
        "@pytest.fixture\ndef broken():\n    raise OSError('no [guest]\\nmore')\n"
        "def test_setup(broken):\n    pass\n"
        "def test_wrong():\n    assert 'a' == 'b', 'the reason'\n"
        "def test_missing(nothing):\n    pass\n"
        "def test_right():\n    pass\n",
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", record.__name__, *workers]
    argv += ["--r4l-part=some", "."]
    assert subprocess.run(argv, cwd=tmp_path, check=False, capture_output=True).returncode == 1
    found = record.failures("some")
    assert found.pop("test_it.py::test_missing")
    assert found == {
        "test_it.py::test_setup": "OSError: no [guest]",
        "test_it.py::test_wrong": "AssertionError: the reason",
    }
    file.write_text("def test_right():\n    pass\n", encoding="utf-8")
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    assert record.failures("some") == {}
