# SPDX-License-Identifier: MIT
"""Record each test's duration and failure in the home: a pytest plugin (`-p r4l.selftest.record`)."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from r4l import home

FILE = "selftest.json"
"""Name of the file in the home: {part: {"seconds": wall clock, "tests": {node id: seconds}, "failed": {node id:
reason}, "passed": …}}."""
PART = "--r4l-part"
LONGEST_REASON = 300
"""Characters kept of a failure's reason."""

_seconds: dict[str, float] = defaultdict(float)
_failed: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the name of the `r4l selftest` part."""
    parser.addoption(PART, default=None, help="the part of `r4l selftest` that runs: its tests' seconds are kept")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up a test's seconds: set-up, call and tear-down; keep the reason of its first failure."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.setdefault(report.nodeid, reason(report))


def reason(report: pytest.TestReport) -> str:
    """Return why a test failed, in one line: the first of its exception's message."""
    crash = getattr(report.longrepr, "reprcrash", None)
    # Without a place of the crash, as for a fixture that does not exist, the text ends with the reason.
    said = crash.message.splitlines()[:1] if crash else report.longreprtext.strip().splitlines()[-1:]
    return "".join(said)[:LONGEST_REASON]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save them. With several workers, only the controller does."""
    part = session.config.getoption(PART)
    if part and not hasattr(session.config, "workerinput"):
        keep(part, tests=_seconds, failed=_failed)


def load() -> dict[str, dict[str, object]]:
    """Return the record of each part."""
    file = home.home() / FILE
    loaded: dict[str, dict[str, object]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return loaded


def keep(part: str, **values: object) -> None:
    """Save values of a part; `FILE` says which."""
    with home.lock("selftest"):
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


def failures(part: str) -> dict[str, str]:
    """Return the tests of a part that failed in its last run, each with the reason in one line."""
    found = load().get(part, {}).get("failed", {})
    assert isinstance(found, dict)
    return found
