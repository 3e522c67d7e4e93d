# SPDX-License-Identifier: MIT
"""Record the duration of each test in the home: a pytest plugin (`-p r4l.selftest.seconds`)."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from r4l import home

FILE = "seconds.json"
"""Name of the file in the home: {part: {"seconds": wall clock, "tests": {node id: seconds}, "passed": …}}."""
PART = "--r4l-part"

_seconds: dict[str, float] = defaultdict(float)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the name of the `r4l selftest` part."""
    parser.addoption(PART, default=None, help="the part of `r4l selftest` that runs: its tests' seconds are kept")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up a test's seconds: set-up, call and tear-down."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save the seconds. With several workers, only the controller does."""
    part = session.config.getoption(PART)
    if part and _seconds and not hasattr(session.config, "workerinput"):
        keep(part, tests=_seconds)


def load() -> dict[str, dict[str, object]]:
    """Return the seconds of the last run of each part."""
    file = home.home() / FILE
    loaded: dict[str, dict[str, object]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return loaded


def keep(part: str, **values: object) -> None:
    """Save values of a part: `seconds` of the whole, `tests` of each test, `passed` (see `passed.py`)."""
    with home.lock("seconds"):
        kept = load()
        kept.setdefault(part, {}).update(values)
        final = home.home() / FILE
        partial = home.temporary(final)
        partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        home.publish(partial, final)


def slowest(parts: list[str], count: int = 10) -> list[tuple[float, str, str]]:
    """Return the tests that took longest, as seconds, part and node id."""
    found: list[tuple[float, str, str]] = []
    kept = load()
    for part in parts:
        tests = kept.get(part, {}).get("tests", {})
        assert isinstance(tests, dict)
        found += [(seconds, part, test) for test, seconds in tests.items()]
    return sorted(found, reverse=True)[:count]
