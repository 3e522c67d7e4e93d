# SPDX-License-Identifier: MIT
"""`--r4l-ktap FILE`: what pytest found, in the kernel's own format, for whoever collects kernel test results."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.testing import ktap
from r4l.testing.verdict import FAULT

SKIP_REASON = 2
"""Where pytest keeps the reason in a skipped report's `longrepr`: (path, line, reason)."""


class KtapFile:
    """A pytest plugin that writes the results when the session ends; also a session that is interrupted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[str, ktap.Result] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended, or a subtest. One that fails in its setup or teardown has failed."""
        name, over = report.nodeid, report.when == "call"
        if isinstance(report, pytest.SubtestReport):
            name, over = f"{name} [{report.context.msg}]", True
        if report.failed:
            self._results[name] = ktap.Result(
                name, ok=False, said=report.longreprtext, error=getattr(report, FAULT, "")
            )
        elif report.skipped:
            reason = str(report.longrepr[SKIP_REASON]) if isinstance(report.longrepr, tuple) else report.longreprtext
            self._results[name] = ktap.Result(name, ok=True, skipped=reason or "skipped")
        elif over and name not in self._results:
            self._results[name] = ktap.Result(name, ok=True)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(ktap.text(self._results.values()), encoding="utf-8")


def register(config: pytest.Config) -> None:
    """Where a file was asked for; of several workers (xdist), only who collects their results writes it."""
    path: str | None = config.getoption("--r4l-ktap")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(KtapFile(Path(path)))
