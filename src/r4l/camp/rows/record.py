# SPDX-License-Identifier: MIT
"""A pytest plugin that saves the outcomes of each row's tests (`-p r4l.camp.rows.record`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

from r4l.camp import rows

ROW = "row"
"""Property of a report that names a row."""

MARK = b"mark.row("
"""Text of each file with a test of a row."""

_outcomes: dict[str, dict[str, str]] = defaultdict(dict)
_marked: dict[str, list[str]] = defaultdict(list)


def row_ids(item: pytest.Item) -> list[str]:
    """Return the rows that a test is marked with.

    Raises:
        pytest.UsageError: a row does not exist.
    """
    names = [str(name) for mark in item.iter_markers("row") for name in mark.args]
    unknown = [name for name in names if name not in rows.table()]
    if unknown:
        raise pytest.UsageError(f"{item.nodeid} is marked with rows that do not exist: {', '.join(unknown)}")
    return names


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rows-only`, which runs nothing and prints the marked tests."""
    parser.addoption("--rows-only", action="store_true", help="list the tests of each row as `ROW NODEID` and stop")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--rows-only`, leave out the files that mark no test: to import them takes most of the time."""
    if config.getoption("rows_only") and collection_path.is_file() and MARK not in collection_path.read_bytes():
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Record the tests of each row."""
    for item in items:
        for name in row_ids(item):
            _marked[name].append(item.nodeid)
    if config.getoption("rows_only"):
        for name, tests in _marked.items():
            for test in tests:
                print(f"\nROW {name} {test}", end="")
        items.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the rows to the report's properties, which also reach the controller of several workers."""
    report = yield
    report.user_properties += [(ROW, name) for name in row_ids(item) if (ROW, name) not in report.user_properties]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the outcome of a marked test."""
    if report.when == "call" or (report.when == "setup" and not report.passed) or report.failed:
        for name in (str(value) for key, value in report.user_properties if key == ROW):
            if _outcomes[name].get(report.nodeid) != "failed":
                _outcomes[name][report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the outcomes. With several workers, only the controller does."""
    if _outcomes and not hasattr(session.config, "workerinput"):
        rows.save_results(_outcomes)
