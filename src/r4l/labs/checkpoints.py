# SPDX-License-Identifier: MIT
"""The pytest plugin of the labs' checks (`-p r4l.labs.checkpoints`): each says what was expected and what was seen.

A check is a test with `@pytest.mark.checkpoint("id")`. A hidden one, which lab.toml does not know, has its title with
it: `@pytest.mark.checkpoint("id", title="…")`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from r4l.errors import GuestTimeout, R4LError
from r4l.labs.printable import printable
from r4l.vm import VM

SHARED = ".shared"
"""The folder among the results by which the processes that share the checks agree; no checkpoint is called so."""
MODULE = "module"
"""The file in it that names the module under test, once it is built."""
TAKEN = "taken-{}"
"""The file for a check, by its number, that a process has taken."""
HUNG = "hung"
"""The file that says that the guest hung: what hangs once hangs in each check."""
SEEN = "seen-{}.json"
"""What a process's checks saw, by their numbers."""
EVIDENCE = ("console.log", "*.pcap")
"""What is kept of a machine's work folder."""
LARGEST_EVIDENCE = 4 << 20
"""Bytes that are kept of each file: a bundle takes all of them."""
LONGEST_DETAIL = 20_000
"""Characters of what is told of a failure at length."""
LONGEST = 1000
"""Characters of what was expected or seen. A student's driver may print megabytes."""
TIMED_OUT = "Timeout (>"
"""How pytest-timeout begins."""
PARENT = os.getppid()
"""Who began this process."""
_SEEN = pytest.StashKey[dict[int, dict[str, Any]]]()


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
    parser.addoption("--lab-results", type=Path, required=True, help="folder for what was seen and the evidence")
    parser.addoption("--lab-work", type=Path, required=True, help="folder with the student's files and the lab's")
    parser.addoption("--lab-worker", type=int, default=0, help="number of this process, of those that share the checks")


@pytest.fixture(scope="session")
def work(pytestconfig: pytest.Config) -> Path:
    """The folder that the module was built from, for a check of what is no module."""
    folder: Path = pytestconfig.getoption("--lab-work")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "checkpoint(id, title=''): what this check is of; a title where it is hidden")
    config.stash[_SEEN] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the checks that no other process has taken, once the module is built.

    One is taken ahead: pytest has to know the next, to keep what the two share.
    """
    if session.testsfailed:
        # Some could not be read: pytest's own loop says so.
        return None
    shared = _shared(session.config)
    _wait_for_module(shared, session.config)
    untaken = _untaken(session.items, shared)
    item = next(untaken, None)
    while item and not (shared / HUNG).exists():
        following = next(untaken, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = following
    if (shared / HUNG).exists():
        raise session.Interrupted(HUNG)
    return True


def _wait_for_module(shared: Path, config: pytest.Config) -> None:
    """Until it is built, or nobody is there any more who builds it."""
    file = shared / MODULE
    while not file.exists():
        if os.getppid() != PARENT:
            pytest.exit("who began the checks is gone")
        time.sleep(0.01)
    config.option.r4l_module = file.read_text(encoding="utf-8") or None


def _untaken(items: Sequence[pytest.Item], shared: Path) -> Iterator[pytest.Item]:
    """Take one after the other."""
    for number, item in enumerate(items):
        with contextlib.suppress(FileExistsError):
            (shared / TAKEN.format(number)).touch(exist_ok=False)
            yield item


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
    first = {"checkpoint": mark.args[0], "title": mark.kwargs.get("title", ""), "passed": True, "skipped": ""}
    entry = item.config.stash[_SEEN].setdefault(item.session.items.index(item), first)
    if call.when == "call":
        _keep_evidence(item, mark.args[0])
    if report.skipped:
        entry["skipped"] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
    if report.failed and entry["passed"] and call.excinfo:
        error = call.excinfo.value
        entry.update(passed=False, **_told(error, report.longreprtext, _vm(item)))
        if isinstance(error, GuestTimeout) or str(error).startswith(TIMED_OUT):
            (_shared(item.config) / HUNG).touch()
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was seen, if the checks ran to their end or to a hang."""
    shared = _shared(session.config)
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not (shared / HUNG).exists():
        return
    file = shared / SEEN.format(session.config.getoption("--lab-worker"))
    file.write_text(json.dumps(session.config.stash[_SEEN]), encoding="utf-8")


def together(shared: Path, workers: int) -> dict[str, dict[str, Any]]:
    """What each checkpoint's checks saw, from all processes; of several checks the first that failed.

    Raises:
        FileNotFoundError: one of the processes has not come to its end.
    """
    seen: dict[int, dict[str, Any]] = {}
    for worker in range(workers):
        found = json.loads((shared / SEEN.format(worker)).read_text(encoding="utf-8"))
        seen |= {int(number): entry for number, entry in found.items()}
    results: dict[str, dict[str, Any]] = {}
    for _, entry in sorted(seen.items()):
        result = results.setdefault(entry["checkpoint"], entry)
        if result["passed"]:
            result |= {key: value for key, value in entry.items() if value or key == "passed"}
    return results


def _shared(config: pytest.Config) -> Path:
    folder: Path = config.getoption("--lab-results")
    return folder / SHARED


def _mark(item: pytest.Item) -> pytest.Mark | None:
    return item.get_closest_marker("checkpoint")


def _told(error: BaseException, text: str, vm: VM | None) -> dict[str, str]:
    """What was expected and seen, no longer than anybody reads; and what of the guest's was not looked at."""
    what = _what(error, text)
    floods = "; ".join(vm.floods) if vm else ""
    seen = f"{what['seen'][:LONGEST]} ({floods})" if floods else what["seen"][:LONGEST]
    return {**what, "seen": seen, "detail": what["detail"][:LONGEST_DETAIL]}


def _what(error: BaseException, text: str) -> dict[str, str]:
    """What was expected and seen, of any failure."""
    if isinstance(error, Missed):
        return {"expected": error.expected, "seen": error.seen, "detail": ""}
    if isinstance(error, R4LError):
        return {"expected": "", "seen": error.cause, "detail": error.detail}
    if str(error).startswith(TIMED_OUT):
        return {"expected": "", "seen": "the machine hangs: the check was ended by its time-out", "detail": ""}
    return {"expected": "", "seen": str(error) or type(error).__name__, "detail": text}


def _vm(item: pytest.Item) -> VM | None:
    """The machine that a check has among its fixtures."""
    return next((value for value in getattr(item, "funcargs", {}).values() if isinstance(value, VM)), None)


def _keep_evidence(item: pytest.Item, name: str) -> None:
    vm = _vm(item)
    if vm is None:
        return
    into = Path(item.config.getoption("--lab-results")) / name
    into.mkdir(parents=True, exist_ok=True)
    for wire in vm.wires.values():
        wire.save()
    for pattern in EVIDENCE:
        for file in vm.workdir.glob(pattern):
            _copy(file, into / file.name)


def _copy(file: Path, to: Path) -> None:
    """Copy a file's beginning, and say how much more there was: a guest writes as much as it likes."""
    with file.open("rb") as source, to.open("wb") as target:
        target.write(source.read(LARGEST_EVIDENCE))
        more = file.stat().st_size - LARGEST_EVIDENCE
    if more > 0:
        to.with_name(f"{to.name}.cut").write_text(f"{more} bytes more are not kept\n", encoding="utf-8")
