# SPDX-License-Identifier: MIT
"""Seconds of tests, recorded by a plugin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r4l.selftest import seconds


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_each_test_once_however_many_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_quick():\n    pass\ndef test_slow():\n    time.sleep(0.3)\n", encoding="utf-8"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", seconds.__name__, *workers]
    subprocess.run([*argv, "--r4l-part=some", "."], cwd=tmp_path, check=True, capture_output=True)
    seconds.keep("some", seconds=1.5)
    kept = seconds.load()["some"]
    tests = kept["tests"]
    assert isinstance(tests, dict)
    assert set(tests) == {"test_it.py::test_quick", "test_it.py::test_slow"}
    assert kept["seconds"] == 1.5
    ((taken, part, test),) = seconds.slowest(["some", "other"], 1)
    assert (part, test) == ("some", "test_it.py::test_slow")
    assert taken >= 0.3
