# SPDX-License-Identifier: MIT
"""The kernels that `r4l selftest` prepares while other parts run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from r4l.selftest import parts
from r4l.selftest.ahead import Ahead
from r4l.stages import Stages

STOCK, MINIMAL = ("stock", "x86_64"), ("minimal", "x86_64")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stand-in for `r4l` that writes its arguments and niceness to `begun`, and ends with code 1."""
    program = tmp_path / "python"
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(parts, "PYTHON", str(program))
    write(program, "exit 1")
    return program


def write(program: Path, last: str) -> None:
    begun = program.with_name("begun")
    program.write_text(f'#!/bin/sh\necho "$(nice) $@" >>{begun}\n{last}\n', encoding="utf-8")
    program.chmod(0o755)


def begun(program: Path, lines: int) -> list[str]:
    file = program.with_name("begun")
    until = time.monotonic() + 20
    while time.monotonic() < until and (not file.exists() or len(file.read_text().splitlines()) < lines):
        time.sleep(0.02)
    return file.read_text().splitlines()


def test_one_after_the_other_and_those_that_can_wait_at_the_lowest_priority(program: Path) -> None:
    nice = os.nice(0)
    with Ahead([STOCK, MINIMAL]) as ahead, Stages() as stages:
        ahead.wait_for(STOCK, stages)
        ahead.wait_for(MINIMAL, stages)
    assert begun(program, 2) == [
        f"{nice} -m r4l setup --kernel stock --arch x86_64",
        "19 -m r4l setup --kernel minimal --arch x86_64",
    ]


def test_the_end_ends_what_runs_and_begins_nothing_more(program: Path) -> None:
    write(program, "exec sleep 600")
    with Ahead([STOCK, MINIMAL]) as ahead:
        assert len(begun(program, 1)) == 1
        running = ahead._running
        assert running
    assert running.returncode is not None
    assert len(begun(program, 1)) == 1


def test_a_failure_lets_nobody_wait(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a log that could not be opened left `r4l selftest` waiting for ever for the second kernel."""

    def fail(*_: object) -> None:
        raise OSError("none left")

    monkeypatch.setattr(Ahead, "_start", fail)
    with Ahead([STOCK, MINIMAL]) as ahead:
        assert [done.wait(20) for done in ahead._done.values()] == [True, True]


def test_nothing_is_needed(program: Path) -> None:
    with Ahead([]):
        pass
    assert not program.with_name("begun").exists()
