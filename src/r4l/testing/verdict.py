# SPDX-License-Identifier: MIT
"""A test has failed where the kernel complained, and its report holds what one wants to see then."""

from __future__ import annotations

import sys

import pytest

from r4l.errors import EnvironmentFault
from r4l.vm import VM
from r4l.vm.blame import host_fault

_VM = pytest.StashKey[VM]()
_FAILED = pytest.StashKey[bool]()
FAULT = "r4l_fault"
"""Attribute of a report that is no verdict: why (`r4l.vm.blame.host_fault`); a string, so that xdist sends it."""
LINES = 40
"""Of the kernel log, in a failed test's report."""


def watch(item: pytest.Item, vm: VM) -> None:
    """A test has got its VM."""
    item.stash[_VM] = vm


def machine(item: pytest.Item) -> VM | None:
    """The VM that a test has got, if it has."""
    return item.stash.get(_VM, None)


def failed(item: pytest.Item) -> bool:
    """Whether a test has failed so far, so that its evidence is kept."""
    return item.stash.get(_FAILED, False)


def allow(item: pytest.Item, vm: VM) -> None:
    """What the test's markers `klog_allow` say.

    Raises:
        pytest.UsageError: a marker without a pattern, or without a reason.
    """
    for mark in item.iter_markers("klog_allow"):
        reason = str(mark.kwargs.get("reason", "")).strip()
        if len(mark.args) != 1 or set(mark.kwargs) != {"reason"} or not reason:
            raise pytest.UsageError(
                f"{item.nodeid}: say what is allowed and why: @pytest.mark.klog_allow('pattern', reason='...')"
            )
        vm.klog.allow(mark.args[0], reason=reason)


def check(item: pytest.Item) -> None:
    """After a test's own last line: judge its machine, whether it runs or how it ended (`VM.check`).

    Raises:
        R4LError: the kernel complained, or the machine's end is none that a guest asks for.
    """
    if vm := item.stash.get(_VM, None):
        vm.check()


def report(item: pytest.Item, outcome: pytest.TestReport) -> None:
    """Note how a phase of a test ended, and what was allowed in it.

    Where it failed, add the kernel log and where the evidence is.
    """
    vm = item.stash.get(_VM, None)
    if vm and outcome.when == "call" and (allowed := vm.klog.allowances()):
        outcome.sections.append(("allowed complaints of the kernel", "\n".join(allowed)))
    if not outcome.failed:
        return
    item.stash[_FAILED] = True
    if vm is None or isinstance(outcome, pytest.SubtestReport):
        return
    if records := vm.klog.records():
        outcome.sections.append(("kernel log", "\n".join(record.text for record in records[-LINES:])))
    outcome.sections.append(("evidence", f"{vm.workdir}\na shell there: pytest '{item.nodeid}' --r4l-shell-on-failure"))


def excuse(item: pytest.Item, call: pytest.CallInfo[None], outcome: pytest.TestReport) -> None:
    """Make an error of what would be a failure, where the host has kept the test from its verdict."""
    if not outcome.failed or call.excinfo is None:
        return
    if fault := host_fault(call.excinfo.value, machine(item)):
        setattr(outcome, FAULT, fault)
        outcome.sections.append(("could not be judged", f"{fault}\nThis is no failure of the driver's: run it again."))
        if outcome.when == "call":
            # What fails before the test proper is an error to pytest and to all that read its reports.
            outcome.when = "setup"


class Faults:
    """Counts the tests that failed, and those that could not be judged."""

    def __init__(self) -> None:
        self._failed = self._faults = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended."""
        self._faults += hasattr(report, FAULT)
        self._failed += report.failed and not hasattr(report, FAULT)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End with the code for this machine's fault, where nothing else has failed."""
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and self._faults and not self._failed:
            session.exitstatus = EnvironmentFault.exit_code


def offer_shell(item: pytest.Item) -> None:
    """A shell in the guest of a test that has just failed, where one was asked for and the guest still lives."""
    vm = item.stash.get(_VM, None)
    if not item.config.getoption("--r4l-shell-on-failure") or vm is None or not vm.running:
        return
    # While pytest captures, stdin is no terminal.
    capture = item.config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture(in_=True)
    try:
        if sys.stdin.isatty():
            print(f"\n{item.nodeid} has failed; this is its guest. `exit` goes on.", flush=True)
            vm.shell()
    finally:
        capture.resume_global_capture()
