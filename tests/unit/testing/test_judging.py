# SPDX-License-Identifier: MIT
"""A fault of the host that keeps a test from its verdict is an error, not a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

TESTS = """
import errno
import pytest
from r4l.errors import EnvironmentFault, VerdictError
from r4l.vm import QemuDied

def test_space():
    raise OSError(errno.ENOSPC, "No space left on device")

def test_qemu():
    raise QemuDied("QEMU was killed by SIGKILL")

@pytest.fixture
def tools():
    raise EnvironmentFault("no tools", "run setup")

def test_tools(tools):
    pass

def test_fine():
    pass
"""
FAILS = """
def test_fails():
    raise VerdictError("the kernel complained")
"""


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    return subprocess.run([*argv, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "shared"])
def test_a_host_fault_is_an_error_with_a_code_of_its_own(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = run(tmp_path, TESTS, *workers, "--junitxml=it.xml", "--r4l-ktap=it.ktap")
    assert "1 passed, 3 errors" in done.stdout, done.stdout
    assert "could not be judged" in done.stdout
    assert done.returncode == 120
    suite = ElementTree.parse(tmp_path / "it.xml").getroot()[0]
    assert (suite.get("errors"), suite.get("failures")) == ("3", "0")
    ktap = (tmp_path / "it.ktap").read_text()
    assert "test_space # ERROR [Errno 28] No space left on device" in ktap


def test_a_failure_beside_it_is_the_verdict(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS + FAILS)
    assert "1 failed, 1 passed, 3 errors" in done.stdout
    assert done.returncode == 1
