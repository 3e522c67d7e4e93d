# SPDX-License-Identifier: MIT
"""The order in which `r4l selftest` makes kernels ready."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from r4l import selftest
from r4l.selftest import Ahead
from r4l.stages import Stages


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with what `r4l` was told, by a program in its place that takes its time."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/begun\nnice >>{tmp_path}/begun\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(selftest, "PYTHON", str(program))
    return tmp_path / "begun"


def said(file: Path, lines: int = 2) -> list[str]:
    until = time.monotonic() + 20
    while time.monotonic() < until and (not file.exists() or len(file.read_text().splitlines()) < lines):
        time.sleep(0.02)
    return file.read_text().splitlines()


def test_a_kernel_from_source_is_begun_once_at_the_lowest_priority_and_ended(begun: Path) -> None:
    with Ahead() as ahead:
        ahead.begin(["vm", "arm64", "kernels", "debug"])
        ahead.begin(["kernels", "debug"])
        assert said(begun) == ["-m r4l setup --kernel minimal --arch x86_64", "19"]
        made = ahead._made
        assert made
        os.kill(made.pid, 0)
    assert made.returncode is not None


def test_it_is_waited_for(begun: Path) -> None:
    (begun.parent / "python").write_text("#!/bin/sh\nexit 1\n")
    with Ahead() as ahead, Stages() as stages:
        ahead.begin(["kernels"])
        ahead.wait_for(stages)
        assert ahead._made
        assert ahead._made.wait(0) == 1


def test_debians_own_kernels_need_no_head_start(begun: Path) -> None:
    with Ahead() as ahead, Stages() as stages:
        ahead.begin(["lint", "vm", "arm64"])
        ahead.begin([])
        ahead.wait_for(stages)
    assert not begun.exists()
