# SPDX-License-Identifier: MIT
"""Wrong calls of `r4l ide`, or calls before setup, are refused with a remedy and write nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def r4l_ide(home: Path, *arguments: str | Path, mirror: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "r4l", "ide", *arguments],
        env={**os.environ, "R4L_HOME": str(home), "R4L_MIRROR": mirror},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := hello.o\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["{empty}"], "holds no module"),
        (["{empty}/nothing"], "is not a folder"),
        (["{module}", "--tree"], "--tree is for the kernel's source"),
        (["--tree", "--check"], "--tree is for the kernel's source"),
        (["{module}", "--subsystem", "lib"], "--subsystem goes with --tree"),
        (["{module}", "--kernel", "nosuch"], "there is no kernel nosuch"),
    ],
)
def test_a_wrong_call(arguments: list[str], cause: str, module: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = r4l_ide(tmp_path / "home", *(word.format(empty=empty, module=module) for word in arguments))
    assert done.returncode == 2
    assert cause in done.stderr
    assert "remedy:" in done.stderr
    assert [path.name for path in module.iterdir()] == ["Kbuild"]
    assert not list(empty.iterdir())


def test_no_kernel_is_ready_and_none_can_be_made(module: Path, tmp_path: Path) -> None:
    # Nobody listens on the discard port of loopback.
    done = r4l_ide(tmp_path / "home", module, mirror="http://127.0.0.1:9/debian")
    assert done.returncode == 120, done.stderr
    assert "environment: the Debian mirror cannot be reached" in done.stderr
    assert "remedy:" in done.stderr
    assert [path.name for path in module.iterdir()] == ["Kbuild"]
