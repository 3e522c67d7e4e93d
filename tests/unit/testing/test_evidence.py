# SPDX-License-Identifier: MIT
"""Evidence of a test's devices: written for a test that has failed, and for no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import pytest
from r4l.errors import VerdictError
from r4l.testing import fixtures

class Machine:
    \"\"\"A machine without QEMU.\"\"\"

    def __init__(self, kernel, **words):
        self.workdir = words["workdir"]

    def start(self):
        (self.workdir / "console.log").touch()

    def close(self, *, keep=False, evidence=True):
        if evidence:
            self.save_traces()

    def untold(self):
        return VerdictError("the kernel complained at the end") if (self.workdir / "late").exists() else None

    def save_traces(self):
        (self.workdir / "pci0.trace").touch()

    def check(self):
        pass

    def model_errors(self):
        return []

    class klog:
        @staticmethod
        def allowances():
            return []

        @staticmethod
        def records():
            return []

    cards = {}
    devices = []

@pytest.fixture(scope="session")
def kernel():
    return None

fixtures.VM = Machine
"""
TEST = """
import pathlib

def test_it(vm):
    pathlib.Path("where").write_text(str(vm.workdir))
    {body}
"""


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("pass", False),
        ("assert False", True),
        ("(vm.workdir / 'late').touch()", True),
    ],
    ids=["passed", "failed", "failed at the end"],
)
def test_evidence_is_written_if_the_test_has_failed(tmp_path: Path, body: str, kept: bool) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST.format(body=body))
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == kept, done.stdout
    folder = Path((tmp_path / "where").read_text())
    assert folder.exists() == kept
    assert (folder / "pci0.trace").exists() == kept
