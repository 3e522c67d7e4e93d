# SPDX-License-Identifier: MIT
"""The rows: requirements from the camp's documents, and the state of their checks.

`rows.toml` lists the requirements; tests carry `@pytest.mark.row("A9")`; `record` (a pytest plugin) saves their last
outcome in the home; `states` combines the three.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from r4l import home, resources

RESULTS = "rows.json"


@dataclass(frozen=True)
class Row:
    """One requirement.

    Attributes:
        id: such as `A9`.
        item: description from the documents.
        works_when: the observation that a check makes.
    """

    id: str
    item: str
    works_when: str


@dataclass
class RowState:
    """A row with its tests and their last outcomes.

    Attributes:
        tests: pytest node id to `passed`, `failed`, `skipped`, or `never run`.
    """

    row: Row
    tests: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """`passed` (every test), `failed` (any), `not run`, or `no check`."""
        if not self.tests:
            return "no check"
        outcomes = set(self.tests.values())
        if "failed" in outcomes:
            return "failed"
        return "passed" if outcomes == {"passed"} else "not run"


@cache
def table() -> dict[str, Row]:
    """Return all rows by id, in the documents' order."""
    data = resources.table(__package__, "rows.toml", {"*": {"item": str, "works_when": str}})
    return {name: Row(name, **entry) for name, entry in data.items()}


def load_results() -> dict[str, dict[str, str]]:
    """Return the last outcomes: row id to node id to outcome."""
    file = home.home() / RESULTS
    loaded: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return loaded


def save_results(results: Mapping[str, Mapping[str, str]]) -> None:
    """Merge outcomes into the saved ones."""
    with home.lock("rows"):
        merged = load_results()
        for row, tests in results.items():
            merged.setdefault(row, {}).update(tests)
        final = home.home() / RESULTS
        partial = home.temporary(final)
        partial.write_text(json.dumps(merged, indent=1, sort_keys=True), encoding="utf-8")
        home.publish(partial, final)


def states(marked: Mapping[str, list[str]] | None = None) -> list[RowState]:
    """Return every row with its state.

    Args:
        marked: row id to the tests that carry it now; None to use all tests that ever ran here.
    """
    results = load_results()
    found: list[RowState] = []
    for name, row in table().items():
        known = results.get(name, {})
        tests = list(known) if marked is None else marked.get(name, [])
        found.append(RowState(row, {test: known.get(test, "never run") for test in tests}))
    return found
