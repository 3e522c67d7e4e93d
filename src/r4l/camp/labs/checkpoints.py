# SPDX-License-Identifier: MIT
"""The pytest plugin for the labs' checks (`-p r4l.camp.labs.checkpoints`): each check reports what was expected and
seen.

A check is a test with `@pytest.mark.checkpoint("id")`. A hidden check, which lab.toml does not list, adds its title:
`@pytest.mark.checkpoint("id", title="…")`.
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

from r4l.camp.labs import broken
from r4l.camp.labs.printable import printable
from r4l.errors import GuestTimeout, R4LError
from r4l.testing import again, verdict
from r4l.vm import VM, BootPanic, NoAgent, NoOutput, QemuDied
from r4l.vm.blame import TIMED_OUT, host_fault

SHARED = ".shared"
"""Folder among the results for coordination of the processes that share the checks; no checkpoint has this name."""
MODULE = "module"
"""File in `SHARED` that names the module under test, once it is built."""
TAKEN = "taken-{}"
"""File that marks a check, by its number, as taken by a process."""
HUNG = "hung"
"""File that exists once the guest hung, since further checks would hang too.

Contains the reason if the host caused it.
"""
SEEN = "seen-{}.json"
"""File with the results of a process's checks so far, by their numbers."""
ENDED = "ended-{}"
"""File that marks a process as finished or ended by a hang."""
EVIDENCE = ("console.log", "*.pcap")
"""Files kept from a machine's work folder."""
LARGEST_EVIDENCE = 4 << 20
"""Bytes kept of each file; a bundle includes all of them."""
LONGEST_DETAIL = 20_000
"""Characters kept of a failure's detail."""
WORSE = {True: 0, None: 1, False: 2}
"""Rank of a result: the worst of a checkpoint's checks counts: reached, not judged, missed."""
LONGEST = 1000
"""Characters kept of expected and seen values. A student's driver may print megabytes."""
NO_MEANS_CODE = 77
"""Exit code of a process that the host's lack of space or memory ended; pytest's own are smaller."""
PARENT = os.getppid()
"""Process that started this one."""
HIDDEN = "hidden-checks"
"""Stands for hidden checks that could not be run; followed by the file's name if that is known."""
_SEEN = pytest.StashKey[dict[int, dict[str, Any]]]()
_FILES = pytest.StashKey[dict[Path, str]]()
"""The files with hidden checks, each with the reason why it cannot be used; empty if it can."""


class Missed(AssertionError):
    """A checkpoint was not reached.

    Args:
        what: subject of the check.
        seen: actual value.
        expected: required value.
    """

    def __init__(self, what: str, seen: object, expected: object) -> None:
        super().__init__(f"{what}: expected {expected}, seen {seen}")
        self.expected = printable(f"{what}: {expected}", keep="\n\t")[:LONGEST]
        # A device may return any number of arbitrary bytes.
        self.seen = printable(str(seen), keep="\n\t")[:LONGEST]


def see(what: str, seen: object, expected: object, ok: bool | None = None) -> None:
    """Check a value.

    Args:
        what: subject in words.
        seen: actual value.
        expected: required value; a description in words if `ok` is given.
        ok: result of the comparison; by default equality of `seen` and `expected`.

    Raises:
        Missed: the comparison is false.
    """
    if not (seen == expected if ok is None else ok):
        raise Missed(what, seen, expected)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    parser.addoption("--lab-results", type=Path, required=True, help="folder for what was seen and the evidence")
    parser.addoption("--lab-work", type=Path, required=True, help="folder with the student's files and the lab's")
    parser.addoption("--lab-only", action="append", help="a checkpoint to check; all where none is named")
    parser.addoption("--lab-own-kernel", action="store_true", help="the kernel is the student's, and may not boot")
    parser.addoption("--lab-worker", type=int, default=0, help="number of this process, of those that share the checks")


@pytest.fixture(scope="session")
def work(pytestconfig: pytest.Config) -> Path:
    """The folder that the module was built from, for checks of other files than the module."""
    folder: Path = pytestconfig.getoption("--lab-work")
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the plugin that has one processor decide where QEMU's fault with several may have."""
    config.pluginmanager.register(again.OnceMore(faults=False))
    config.addinivalue_line("markers", "checkpoint(id, title=''): what this check is of; a title where it is hidden")
    config.stash[_SEEN] = {}
    config.stash[_FILES] = {}


def _is_hidden(config: pytest.Config, path: Path) -> bool:
    """True for a file of a folder with hidden checks; the lab's own are in pytest's root folder."""
    return not path.is_relative_to(config.rootpath)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have a broken file of hidden checks not stop the others: it is noted, and counts as empty."""
    report = yield
    if isinstance(collector, pytest.File) and _is_hidden(collector.config, collector.path):
        files = collector.config.stash[_FILES]
        files.setdefault(collector.path, "")
        if report.failed:
            files[collector.path] = broken.said(collector.path, report.longreprtext, hidden=True)
            report.outcome, report.longrepr, report.result = "passed", None, []
    return report


@contextlib.contextmanager
def _ended_by_shortage() -> Iterator[None]:
    """End this process with `NO_MEANS_CODE` if the host lacks space or memory within the block.

    In a hook, pytest would take the exception for an error of its own.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        if fault := host_fault(error):
            pytest.exit(fault, NO_MEANS_CODE)
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the checks that no other process has taken, once the module is built.

    The next check is taken in advance: pytest must know it to keep shared fixtures.
    """
    if session.testsfailed:
        # Collection failed: pytest's own loop reports that.
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
    """Wait until the module is built, or exit if the parent process is gone."""
    file = shared / MODULE
    while not file.exists():
        if os.getppid() != PARENT:
            pytest.exit("the process that started the checks is gone")
        time.sleep(0.01)
    config.option.r4l_module = file.read_text(encoding="utf-8") or None


def _untaken(items: Sequence[pytest.Item], shared: Path) -> Iterator[pytest.Item]:
    """Take and yield checks one by one."""
    for number, item in enumerate(items):
        with _ended_by_shortage(), contextlib.suppress(FileExistsError):
            (shared / TAKEN.format(number)).touch(exist_ok=False)
            yield item


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect checks that are not wanted. A check without marker is an error, since its result would be lost."""
    wrong = [item for item in items if (mark := _mark(item)) is None or not mark.args]
    files = config.stash[_FILES]
    for item in wrong:
        reason = f"{item.name} has no @pytest.mark.checkpoint('ID')"
        if item.path not in files:
            raise pytest.UsageError(f"{item.path.name}: {reason}")
        files[item.path] = broken.said(item.path, reason, hidden=True)
    items[:] = [item for item in items if item not in wrong]
    for path in files.keys() - {item.path for item in (*items, *wrong)}:
        files[path] = files[path] or broken.said(path, "no check is in it", hidden=True)
    for number, (path, reason) in enumerate(sorted(files.items())):
        if reason:
            # The numbers of items begin at 0.
            config.stash[_SEEN][-1 - number] = {
                "checkpoint": f"{HIDDEN}-{path.name}",
                "title": f"the checks in {path.name} were run",
                "passed": None,
                "skipped": "",
                "fault": reason,
            }
    if only := config.getoption("--lab-only"):
        items[:] = [item for item in items if (mark := _mark(item)) and mark.args[0] in only]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record the result of a check."""
    report = yield
    mark = _mark(item)
    if mark is not None and not isinstance(report, pytest.SubtestReport):
        with _ended_by_shortage():
            _record(item, call, report, mark)
    return report


def _record(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, mark: pytest.Mark) -> None:
    first = {
        "checkpoint": mark.args[0],
        "title": mark.kwargs.get("title", ""),
        "passed": True,
        "skipped": "",
        "fault": "",
    }
    seen, number = item.config.stash[_SEEN], item.session.items.index(item)
    # A second attempt begins anew.
    entry = seen[number] = first if call.when == "setup" else seen.get(number, first)
    if call.when == "call":
        _keep_evidence(item, mark.args[0])
    if report.skipped:
        entry["skipped"] = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
    if again.will_be_again(item, report):
        entry.update(passed=None, fault=getattr(report, verdict.STRAY))
    elif report.failed and entry["passed"] is not False and call.excinfo:
        error = call.excinfo.value
        fault = _fault(item, error, call.when)
        if not fault:
            entry.update(passed=False, fault="", **comparison(error, report.longreprtext, _vm(item)))
        elif entry["passed"]:
            entry.update(passed=None, fault=fault)
        if _is_hang(error):
            (_shared(item.config) / HUNG).write_text(fault, encoding="utf-8")
    if call.when == "teardown":
        _write(item.config)


def _is_hang(error: BaseException) -> bool:
    return isinstance(error, GuestTimeout) or isinstance(error.__cause__, GuestTimeout) or _is_time_out(error)


def _is_time_out(error: BaseException) -> bool:
    return str(error).startswith(TIMED_OUT)


def _fault(item: pytest.Item, error: BaseException, when: str) -> str:
    """Return the reason why this machine could not judge; empty if the error is the student's."""
    fault = host_fault(error, verdict.machine(item))
    if item.config.getoption("--lab-own-kernel"):
        # QEMU also refuses a kernel without the entry that it starts (CONFIG_PVH).
        return "" if isinstance(error, QemuDied) and error.refused else fault
    if fault:
        return fault
    if broken.is_broken(error, [item.config.getoption(name) for name in ("--lab-work", "--lab-results")]):
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, pytest.FixtureLookupError):
            text = f"fixture '{error.argname}' not found"
        reason = f"{item.name}: {text}".splitlines()[0]
        return broken.said(item.path, reason, hidden=_is_hidden(item.config, item.path))
    if when == "setup" and _is_time_out(error) and verdict.machine(item) is None:
        return "a time-out while this computer made the check's machine"
    # The student's code is not involved in a boot that fails.
    boots = isinstance(error, BootPanic | NoOutput | NoAgent | QemuDied) and not error.booted and when == "setup"
    return error.cause if boots and isinstance(error, R4LError) else ""


def _write(config: pytest.Config) -> None:
    """Save the results so far, since the process may be killed at any time."""
    file = _shared(config) / SEEN.format(config.getoption("--lab-worker"))
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(config.stash[_SEEN]), encoding="utf-8")
    partial.replace(file)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Mark this process as finished if its checks ran to their end or to a hang."""
    shared = _shared(session.config)
    fine = [pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED]
    if session.config.getoption("--lab-only"):
        # The wanted checkpoint may be a question, or belong to another kernel.
        fine.append(pytest.ExitCode.NO_TESTS_COLLECTED)
    if exitstatus in fine or (shared / HUNG).exists():
        with _ended_by_shortage():
            _write(session.config)
            (shared / ENDED.format(session.config.getoption("--lab-worker"))).touch()


def ended(shared: Path, workers: int) -> bool:
    """True if all processes finished their checks or were ended by a hang."""
    return all((shared / ENDED.format(worker)).exists() for worker in range(workers))


def hung(shared: Path) -> str:
    """Return the reason of a hang that the host caused; empty in all other cases."""
    file = shared / HUNG
    return file.read_text(encoding="utf-8") if file.exists() else ""


def merged_results(shared: Path, workers: int) -> dict[str, dict[str, Any]]:
    """Return the results by checkpoint, from all processes.

    Of several checks, the first missed one counts, else the first not judged.
    """
    seen: dict[int, dict[str, Any]] = {}
    for worker in range(workers):
        file = shared / SEEN.format(worker)
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        seen |= {int(number): entry for number, entry in found.items()}
    results: dict[str, dict[str, Any]] = {}
    for _, entry in sorted(seen.items()):
        result = results.setdefault(entry["checkpoint"], entry)
        if WORSE[entry["passed"]] > WORSE[result["passed"]]:
            result |= {key: value for key, value in entry.items() if value or key in ("passed", "fault")}
        elif result["passed"]:
            result |= {key: value for key, value in entry.items() if value}
    return results


def _shared(config: pytest.Config) -> Path:
    folder: Path = config.getoption("--lab-results")
    return folder / SHARED


def _mark(item: pytest.Item) -> pytest.Mark | None:
    return item.get_closest_marker("checkpoint")


def comparison(error: BaseException, text: str, vm: VM | None) -> dict[str, str]:
    """Return expected and seen values, shortened, with the guest's output that was not read."""
    what = _what(error, text)
    floods = "; ".join(vm.floods) if vm else ""
    seen = f"{what['seen'][:LONGEST]} ({floods})" if floods else what["seen"][:LONGEST]
    return {**what, "seen": seen, "detail": what["detail"][:LONGEST_DETAIL]}


def _what(error: BaseException, text: str) -> dict[str, str]:
    """Return expected and seen values of any failure."""
    if isinstance(error, Missed):
        return {"expected": error.expected, "seen": error.seen, "detail": ""}
    if isinstance(error, R4LError):
        return {"expected": "", "seen": error.cause, "detail": error.detail}
    if _is_time_out(error):
        return {"expected": "", "seen": "the machine hangs: the check was ended by its time-out", "detail": ""}
    return {"expected": "", "seen": str(error) or type(error).__name__, "detail": text}


def _vm(item: pytest.Item) -> VM | None:
    """Return the machine among a check's fixtures, or None."""
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
    """Copy the beginning of a file, and record the number of bytes left out. A guest can write without limit."""
    with file.open("rb") as source, to.open("wb") as target:
        target.write(source.read(LARGEST_EVIDENCE))
        more = file.stat().st_size - LARGEST_EVIDENCE
    if more > 0:
        to.with_name(f"{to.name}.cut").write_text(f"{more} bytes more are not kept\n", encoding="utf-8")
