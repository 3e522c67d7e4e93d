# SPDX-License-Identifier: MIT
"""`--r4l-ktap FILE`: write pytest's results in the kernel's own format, for collectors of kernel test results."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.testing import ktap
from r4l.testing.verdict import FAULT

SKIP_REASON = 2
"""Index of the reason in a skipped report's `longrepr`: (path, line, reason)."""


class KtapFile:
    """pytest plugin that writes the results when the session ends, including an interrupted session."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[str, ktap.KtapResult] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the end of a test's phase, or a subtest. A failure in set-up or teardown fails the test."""
        name, over = report.nodeid, report.when == "call"
        if isinstance(report, pytest.SubtestReport):
            name, over = f"{name} [{report.context.msg}]", True
        if report.failed:
            self._results[name] = ktap.KtapResult(
                name, ok=False, said=report.longreprtext, error=getattr(report, FAULT, "")
            )
        elif report.skipped:
            reason = str(report.longrepr[SKIP_REASON]) if isinstance(report.longrepr, tuple) else report.longreprtext
            self._results[name] = ktap.KtapResult(name, ok=True, skipped=reason or "skipped")
        elif over and name not in self._results:
            self._results[name] = ktap.KtapResult(name, ok=True)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(ktap.text(self._results.values()), encoding="utf-8")


def register(config: pytest.Config) -> None:
    """Register the writer if a file is wanted. With several workers (xdist), only the controller writes it."""
    path: str | None = config.getoption("--r4l-ktap")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(KtapFile(Path(path)))
