# SPDX-License-Identifier: MIT
"""The pytest plugin of the labs' checks (`-p r4l.labs.checkpoints`): each says what was expected and what was seen.

A check is a test with `@pytest.mark.checkpoint("id")`. A hidden one, which lab.toml does not know, has its title with
it: `@pytest.mark.checkpoint("id", title="…")`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from r4l.errors import GuestTimeout, R4LError
from r4l.labs.printable import printable
from r4l.vm import VM

RESULTS = "results.json"
MODULE = ".module"
"""The file among the results that names the module under test, once it is built; no checkpoint is called so."""
EVIDENCE = ("console.log", "*.pcap")
"""What is kept of a machine's work folder."""
LONGEST = 1000
"""Characters of what was expected or seen. A student's driver may print megabytes."""
HUNG = "Timeout (>"
"""How pytest-timeout begins."""
HANGS = "the guest hung"
"""Why no more checks are run."""
PARENT = os.getppid()
"""Who began this process."""
_RESULTS = pytest.StashKey[dict[str, dict[str, Any]]]()


class Missed(AssertionError):
    """A checkpoint is not reached.

    Args:
        what: that was looked at.
        seen: what it was.
        expected: what it had to be.
    """

    def __init__(self, what: str, seen: object, expected: object) -> None:
        super().__init__(f"{what}: expected {expected}, seen {seen}")
        self.expected = printable(f"{what}: {expected}", keep="\n\t")[:LONGEST]
        # What a device returned may be any bytes, and many of them.
        self.seen = printable(str(seen), keep="\n\t")[:LONGEST]


def see(what: str, seen: object, expected: object, ok: bool | None = None) -> None:
    """Look at something.

    Args:
        what: in words.
        seen: what it is.
        expected: what it has to be; in words where `ok` is given.
        ok: whether it is; by default whether the two are equal.

    Raises:
        Missed: it is not.
    """
    if not (seen == expected if ok is None else ok):
        raise Missed(what, seen, expected)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the results go."""
    parser.addoption("--lab-results", type=Path, required=True, help="folder for results.json and the evidence")
    parser.addoption("--lab-work", type=Path, required=True, help="folder with the student's files and the lab's")


@pytest.fixture(scope="session")
def work(pytestconfig: pytest.Config) -> Path:
    """The folder that the module was built from, for a check of what is no module."""
    folder: Path = pytestconfig.getoption("--lab-work")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "checkpoint(id, title=''): what this check is of; a title where it is hidden")
    config.stash[_RESULTS] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Wait until the module is built, or nobody is there any more who builds it."""
    file = Path(session.config.getoption("--lab-results")) / MODULE
    while not file.exists():
        if os.getppid() != PARENT:
            pytest.exit("who began the checks is gone")
        time.sleep(0.01)
    session.config.option.r4l_module = file.read_text() or None
    file.unlink()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A check without a marker would be lost."""
    for item in items:
        if _mark(item) is None:
            raise pytest.UsageError(f"{item.nodeid} has no @pytest.mark.checkpoint")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what a check saw."""
    report = yield
    mark = _mark(item)
    if mark is None or isinstance(report, pytest.SubtestReport):
        return report
    results = item.config.stash[_RESULTS]
    entry = results.setdefault(mark.args[0], {"title": mark.kwargs.get("title", ""), "passed": True, "skipped": ""})
    if call.when == "call":
        _keep_evidence(item, mark.args[0])
    if report.skipped:
        entry["skipped"] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
    if report.failed and entry["passed"] and call.excinfo:
        error = call.excinfo.value
        entry.update(passed=False, **_what(error, report.longreprtext))
        if isinstance(error, GuestTimeout) or str(error).startswith(HUNG):
            # What hangs once hangs in each check.
            item.session.shouldstop = HANGS
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the results, if the checks ran to their end or to a hang."""
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and session.shouldstop != HANGS:
        return
    folder = session.config.getoption("--lab-results")
    (folder / RESULTS).write_text(json.dumps(session.config.stash[_RESULTS], indent=1))


def _mark(item: pytest.Item) -> pytest.Mark | None:
    return item.get_closest_marker("checkpoint")


def _what(error: BaseException, text: str) -> dict[str, str]:
    """What was expected and seen, of any failure."""
    if isinstance(error, Missed):
        return {"expected": error.expected, "seen": error.seen, "detail": ""}
    if isinstance(error, R4LError):
        return {"expected": "", "seen": error.cause, "detail": error.detail}
    if str(error).startswith(HUNG):
        return {"expected": "", "seen": "the machine hangs: the check was ended by its time-out", "detail": ""}
    return {"expected": "", "seen": str(error) or type(error).__name__, "detail": text}


def _keep_evidence(item: pytest.Item, name: str) -> None:
    vm = next((value for value in getattr(item, "funcargs", {}).values() if isinstance(value, VM)), None)
    if vm is None:
        return
    into = Path(item.config.getoption("--lab-results")) / name
    into.mkdir(parents=True, exist_ok=True)
    for pattern in EVIDENCE:
        for file in vm.workdir.glob(pattern):
            shutil.copy(file, into)
