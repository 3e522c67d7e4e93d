# SPDX-License-Identifier: MIT
"""The tests of the driver are tested: every mutant of it must fail them (`r4l selftest --only mutants`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from r4l import resources

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
CHECKOUT = Path(__file__).parents[2]
SUITE = ["tests/vm/test_scenario.py", "rust/drivers/e1000"]
MUTANTS = tomllib.loads((Path(__file__).parent / "e1000.toml").read_text())


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_driver_fails(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    folder = tmp_path / "e1000"
    shutil.copytree(resources.rust("drivers/e1000"), folder)
    source = folder / mutant["file"]
    text = source.read_text()
    assert text.count(mutant["old"]) == 1, "the mutant does not apply any more"
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--r4l-module", str(folder), *SUITE]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"{name} passes:\n{done.stdout[-2000:]}"
    assert "does not build" not in done.stdout, done.stdout[-3000:]
