# SPDX-License-Identifier: MIT
"""`--r4l-ktap FILE` and `--r4l-json FILE`: pytest's results for collectors of kernel test results, and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from r4l.testing import ktap
from r4l.testing.verdict import FAULT

SKIP_REASON = 2
"""Index of the reason in a skipped report's `longrepr`: (path, line, reason)."""


class ResultFile:
    """pytest plugin that writes the results when the session ends, including an interrupted session.

    Args:
        path: file to write.
        text: format of the file.
    """

    def __init__(self, path: Path, text: Callable[[Iterable[ktap.KtapResult]], str]) -> None:
        self._path = path
        self._text = text
        self._results: dict[str, ktap.KtapResult] = {}
        self._seconds: dict[str, float] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a test file that cannot be read."""
        if report.failed:
            self._results[report.nodeid] = ktap.KtapResult(report.nodeid, ok=False, said=report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the end of a test's phase, or a subtest. A failure in set-up or teardown fails the test."""
        name, over = report.nodeid, report.when == "call"
        if isinstance(report, pytest.SubtestReport):
            name, over = f"{name} [{report.context.msg}]", True
        self._seconds[name] = self._seconds.get(name, 0.0) + report.duration
        if report.failed:
            self._results[name] = ktap.KtapResult(
                name, ok=False, said=report.longreprtext, error=getattr(report, FAULT, "")
            )
        elif report.skipped:
            self._results[name] = ktap.KtapResult(name, ok=True, skipped=_reason(report) or "skipped")
        elif over and name not in self._results:
            self._results[name] = ktap.KtapResult(name, ok=True)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        timed = [replace(result, seconds=self._seconds.get(name, 0.0)) for name, result in self._results.items()]
        self._path.write_text(self._text(timed), encoding="utf-8")


def _reason(report: pytest.TestReport) -> str:
    """Return the reason why a test does not count, without the traceback of one that fails as expected (xfail)."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    return str(report.longrepr[SKIP_REASON]) if isinstance(report.longrepr, tuple) else report.longreprtext


def as_json(results: Iterable[ktap.KtapResult]) -> str:
    """Format results as a JSON list: name, outcome, seconds, and the text that explains the outcome."""
    entries = [
        {
            "name": result.name,
            "outcome": outcome(result),
            "seconds": round(result.seconds, 3),
            "reason": result.skipped or result.error,
            "text": result.said,
        }
        for result in results
    ]
    return json.dumps(entries, indent=1) + "\n"


def outcome(result: ktap.KtapResult) -> str:
    """One word for a result: `error` where this machine kept the test from being judged."""
    if result.skipped:
        return "skipped"
    if result.ok:
        return "passed"
    return "error" if result.error else "failed"


def register(config: pytest.Config) -> None:
    """Register the writers that are wanted. With several workers (xdist), only the controller writes."""
    for option, text in (("--r4l-ktap", ktap.text), ("--r4l-json", as_json)):
        path: str | None = config.getoption(option)
        if path and not hasattr(config, "workerinput"):
            config.pluginmanager.register(ResultFile(Path(path), text))
