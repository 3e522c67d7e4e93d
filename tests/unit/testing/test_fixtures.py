# SPDX-License-Identifier: MIT
"""The plugin's fixtures: each that is defined can be used, and the documents have all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r4l.testing import fixtures, plugin

FIXTURE = type(fixtures.vm)
"""The type of what `pytest.fixture` makes."""


def of(module: object) -> set[str]:
    return {name for name, value in vars(module).items() if isinstance(value, FIXTURE)}


def test_each_fixture_is_registered_and_documented(request: pytest.FixtureRequest) -> None:
    """A fixture that only its own file has is 'not found' by tests."""
    defined = of(fixtures)
    assert len(defined) > 12
    assert of(plugin) == defined
    assert set(plugin.__all__) == defined
    assert not [name for name in sorted(defined) if not request._fixturemanager.getfixturedefs(name, request.node)]
    page = (Path(__file__).parents[3] / "docs/testing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page[page.index("| fixture |") :].partition("\n\n")[0], re.M)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == defined
