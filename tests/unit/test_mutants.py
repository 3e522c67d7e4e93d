# SPDX-License-Identifier: MIT
"""The mutants of tests/mutants apply to the drivers as they are, and name tests that exist."""

from __future__ import annotations

import re

import pytest
from tests.mutants.test_mutants import MUTANTS

from r4l import resources

NAMED = [key for key, mutant in MUTANTS.items() if "found_by" in mutant]


@pytest.mark.parametrize(("driver", "name"), MUTANTS)
def test_a_mutant_applies(driver: str, name: str) -> None:
    mutant = MUTANTS[driver, name]
    text = resources.rust("drivers", driver, mutant["file"]).read_text(encoding="utf-8")
    assert text.count(mutant["old"]) == 1, "the mutant does not apply any more"
    assert mutant["old"] != mutant["new"]


@pytest.mark.parametrize(("driver", "name"), NAMED)
def test_the_test_that_finds_a_mutant_exists(driver: str, name: str) -> None:
    file, _, function = MUTANTS[driver, name]["found_by"].partition("::")
    text = resources.rust("drivers", driver, "tests", file).read_text(encoding="utf-8")
    assert re.search(rf"^def {function}\(", text, re.MULTILINE)


def test_most_mutants_of_the_e1000_name_their_test() -> None:
    assert len(NAMED) > 25
