# SPDX-License-Identifier: MIT
"""A disk image whose creation is interrupted in each stage: no file stays, and the next attempt succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r4l.kernel import Kernel
from r4l.process import quiet
from r4l.rootfs.disk import NOTE
from r4l.toolchain import Toolchain

pytestmark = [pytest.mark.setup_faults, pytest.mark.timeout(1500)]

MAKE = """
import os, sys
from r4l.rootfs.disk import DiskImage
from r4l.toolchain import Toolchain
tools = Toolchain.existing().extended("image")
os.environ["R4L_HOME"] = sys.argv[1]
print(DiskImage.get("debian", tools, lambda line: print(line, flush=True)).path)
"""

STAGES: list[tuple[str, signal.Signals]] = [
    ("downloading packages", signal.SIGINT),
    ("installing the packages", signal.SIGKILL),
    ("installing the packages", signal.SIGINT),
    ("making the file system", signal.SIGKILL),
]
"""Line of progress at which the process is ended, and the signal."""


def start(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def processes_of(home: Path) -> list[str]:
    """Return the command lines of all processes that name this home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if str(home) in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def test_interrupted_in_every_stage_then_made(kernel: Kernel, tmp_path: Path) -> None:
    Toolchain.get(quiet).extended("image")
    home = tmp_path / "home"
    for line, number in STAGES:
        with start(home) as maker:
            assert maker.stdout is not None
            assert any(said.strip() == line for said in maker.stdout), f"it never came to {line!r}"
            maker.send_signal(number)
            assert maker.wait(60) != 0
        until = time.monotonic() + 30
        while processes_of(home) and time.monotonic() < until:
            time.sleep(0.2)
        assert processes_of(home) == [], f"{number.name} while {line}"
        assert list((home / "images").glob("debian-*")) == [], "what is not whole has no name"
        if number is signal.SIGINT:
            assert list((home / "images").glob(".*.partial-*")) == [], "an orderly end cleans up"
    with start(home) as maker:
        said, _ = maker.communicate()
    path = Path(said.splitlines()[-1])
    assert maker.returncode == 0
    assert path.read_bytes()[:4] == b"QFI\xfb"
    assert {item.name for item in (home / "images").iterdir()} == {
        path.name,
        path.name + NOTE,
        f"{path.name}.seal",
        "ssh",
    }
    with start(home) as maker:
        said, _ = maker.communicate()
    assert said == f"{path}\n", "the second time nothing is made"
    os.truncate(path, path.stat().st_size // 2)
    with start(home) as maker:
        assert maker.stdout is not None
        assert next(iter(maker.stdout)) == "the image is damaged: making it again\n"
        maker.send_signal(signal.SIGINT)
        assert maker.wait(60) != 0
