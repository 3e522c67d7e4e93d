# SPDX-License-Identifier: MIT
"""r4l installed from a wheel, with a driver's folder outside of this checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
CHECKOUT = Path(__file__).parents[2]
TEST = """
def test_it_greets(vm, module):
    vm.insmod(module)
    vm.klog.wait_for("Hello, world")
"""


def run(*words: str | Path, cwd: Path) -> str:
    """Run a program, require success, and return its output."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_folder_elsewhere_passes_pytest_with_the_wheel(wheels: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "-q", *wheels.glob("r4l-*.whl"), cwd=tmp_path)
    driver = tmp_path / "blinker"
    driver.mkdir()
    (driver / "Kbuild").write_text("obj-m := blinker.o\n")
    hello = (CHECKOUT / "rust/drivers/hello/hello.rs").read_text()
    (driver / "blinker.rs").write_text(hello.replace('name: "hello"', 'name: "blinker"'))
    (driver / "test_blinker.py").write_text(TEST)
    assert "1 passed" in run(python, "-m", "pytest", "-p", "no:cacheprovider", cwd=driver)
    assert "1 passed" in run(tmp_path / "venv/bin/r4l", "test", driver, cwd=tmp_path)
