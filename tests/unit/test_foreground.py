# SPDX-License-Identifier: MIT
"""A program on this terminal: its exit code, and its end when this process is interrupted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from r4l import foreground
from r4l.foreground import run_here


def test_a_program_that_does_not_end_is_killed_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(foreground, "TOGETHER", 0.1)
    monkeypatch.setattr(foreground, "PATIENCE", 0.5)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # It interrupts us as soon as it is deaf to us.
    script = "trap '' INT; echo $$ > pid; kill -INT $PPID; while :; do sleep 0.1; done"
    with pytest.raises(KeyboardInterrupt):
        run_here(["sh", "-c", script], tmp_path)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_exit_code_of_a_program_in_our_terminal(tmp_path: Path) -> None:
    assert run_here(["sh", "-c", "exit 3"], tmp_path) == 3
