# SPDX-License-Identifier: MIT
"""The files of saved machines: how many are kept, and which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import inuse
from r4l.vm import snapshot

HOLDER = "import sys, pathlib; from r4l import inuse; print(inuse.hold(pathlib.Path(sys.argv[1])), flush=True); input()"


def test_states_that_another_process_uses_are_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the least recently used states were removed in any case."""
    monkeypatch.setattr(snapshot, "KEPT", 3)
    for number in range(6):
        for end in (".state", ".inputs"):
            (tmp_path / f"{number}{end}").touch()
            os.utime(tmp_path / f"{number}{end}", (number, number))
    assert inuse.hold(tmp_path / "1.state"), "one of this process itself, which has it in memory"
    argv = [sys.executable, "-c", HOLDER, str(tmp_path / "0.state")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"True\n"
        snapshot._prune(tmp_path)
        process.communicate(b"\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number}{end}" for number in (0, 4, 5) for end in (".inputs", ".state")
    ]
    snapshot._prune(tmp_path)
    assert sorted(path.stem for path in tmp_path.glob("*.state")) == ["4", "5"]
