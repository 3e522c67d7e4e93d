# SPDX-License-Identifier: MIT
"""apt's lists and caches are used by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from r4l.toolchain import archive_for

APT = """#!/bin/sh
# Stands in for apt: notes where two of it run at the same time in one state.
case "$*" in *indextargets*|*dump*) exit 0;; esac
if ! mkdir {state}/running 2>/dev/null; then echo "$0 $*" >>{state}/overlaps; exit 0; fi
echo "$(basename "$0")" >>{state}/calls
sleep 0.1
rmdir {state}/running
case "$*" in *madison*) echo " make | 1.0 | http://mirror main";; esac
"""

ASK = """
from pathlib import Path
from r4l.toolchain import archive_for
archive = archive_for()
archive.update()
archive.versions("make")
archive.names("linux-")
archive.field("make", "Depends")
archive.needed_for(["make"], Path("/nowhere"))
archive.download({"make": "1.0"}, Path(__import__("sys").argv[1]))
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for apt in front of the real one, and the folder of its records."""
    for name in ("apt-get", "apt-cache", "apt-config"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(APT.format(state=tmp_path), encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R4L_MIRROR", "http://127.0.0.1:9/debian")
    return tmp_path


def test_two_processes_and_two_threads_take_turns(apt: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", ASK, str(apt / f"debs{number}")]) for number in range(2)]
    archive = archive_for()

    def ask() -> None:
        for _ in range(4):
            archive.versions("make")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(120) for other in others] == [0, 0]
    calls = (apt / "calls").read_text(encoding="utf-8").split()
    overlaps = apt / "overlaps"
    assert not overlaps.exists(), overlaps.read_text(encoding="utf-8")
    # Six calls and the question for the version before a download, by each process.
    assert len(calls) == 2 * 7 + 2 * 4
