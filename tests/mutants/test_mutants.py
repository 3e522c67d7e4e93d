# SPDX-License-Identifier: MIT
"""Test of the drivers' tests: they must fail for every mutant of a driver (`r4l selftest --only mutants`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from r4l import resources

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
CHECKOUT = Path(__file__).parents[2]
SUITES = {
    "e1000": ["tests/vm/test_scenario.py", "rust/drivers/e1000"],
    "cicv": ["rust/drivers/cicv"],
    "completion": ["rust/drivers/completion"],
}


class Mutant(TypedDict):
    """A mutant of a driver.

    Attributes:
        file: of the driver.
        old: text that stands there once.
        new: replacement of the text.
        found_by: test in the driver's folder `tests` that finds it; without one, all of them run.
    """

    file: str
    old: str
    new: str
    found_by: NotRequired[str]


MUTANTS: dict[tuple[str, str], Mutant] = {
    (driver, name): mutant
    for driver in SUITES
    for name, mutant in tomllib.loads((Path(__file__).parent / f"{driver}.toml").read_text()).items()
}


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of each driver. All mutants of a driver are built in the same copy, which builds the kit
    once."""
    folder = tmp_path_factory.mktemp("drivers")
    for driver in SUITES:
        whole = resources.rust("drivers", driver)
        shutil.copytree(whole, folder / driver, ignore=shutil.ignore_patterns("tests"))
    return folder


@pytest.fixture
def broken(drivers: Path, driver: str, name: str) -> Iterator[Path]:
    """The driver's copy with the mutant in it, which is taken out again afterwards."""
    mutant = MUTANTS[driver, name]
    source = drivers / driver / mutant["file"]
    text = source.read_text()
    assert text == resources.rust("drivers", driver, mutant["file"]).read_text()
    assert text.count(mutant["old"]) == 1, "the mutant does not apply any more"
    source.write_text(text.replace(mutant["old"], mutant["new"]))
    yield drivers / driver
    source.write_text(text)


@pytest.mark.parametrize(("driver", "name"), MUTANTS)
def test_a_broken_driver_fails(driver: str, name: str, broken: Path) -> None:
    mutant = MUTANTS[driver, name]
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--r4l-module", str(broken)]
    found_by = mutant.get("found_by")
    tests = [f"rust/drivers/{driver}/tests/{found_by}"] if found_by else SUITES[driver]
    done = subprocess.run([*argv, *tests], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"{name} passes:\n{done.stdout[-2000:]}"
    assert "does not build" not in done.stdout, done.stdout[-3000:]
