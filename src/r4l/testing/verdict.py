# SPDX-License-Identifier: MIT
"""Fail a test if the kernel complained, and add the evidence to its report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from r4l.errors import EnvironmentFault
from r4l.vm import VM
from r4l.vm.blame import host_fault, stray_breakpoint

_VM = pytest.StashKey[VM]()
_FAILED = pytest.StashKey[bool]()
FAULT = "r4l_fault"
"""Attribute of a report that is no verdict; holds the reason (`r4l.vm.blame.host_fault`) as a string, which xdist can
send."""
UNFAILED = (KeyboardInterrupt, GeneratorExit, pytest.exit.Exception, pytest.skip.Exception, pytest.xfail.Exception)
"""Exceptions that end a test without failing it. Other outcomes of pytest's, such as `pytest.fail` and a time-out, are
failures, and no subclass of Exception."""
STRAY = "r4l_stray"
"""Attribute of a report whose machine may have had QEMU's fault with breakpoints (`r4l.vm.blame.stray_breakpoint`)."""
UNSURE = "The driver may be to blame, too: run the test again with --r4l-again, which decides on one processor."
LINES = 40
"""Lines of the kernel log in a failed test's report."""


def watch(item: pytest.Item, vm: VM) -> None:
    """Register the VM of a test."""
    item.stash[_VM] = vm


def machine(item: pytest.Item) -> VM | None:
    """Return the VM of a test, or None."""
    return item.stash.get(_VM, None)


def failed(item: pytest.Item) -> bool:
    """True if the test has failed so far, so that its evidence is kept."""
    return item.stash.get(_FAILED, False)


def forget(item: pytest.Item) -> None:
    """Forget the VM of a test, and that it has failed: it begins once more."""
    if _VM in item.stash:
        del item.stash[_VM]
    item.stash[_FAILED] = False


def allow(item: pytest.Item, vm: VM) -> None:
    """Apply the test's markers `klog_allow`.

    Raises:
        pytest.UsageError: a marker has no pattern, or no reason.
    """
    for mark in item.iter_markers("klog_allow"):
        reason = str(mark.kwargs.get("reason", "")).strip()
        if len(mark.args) != 1 or set(mark.kwargs) != {"reason"} or not reason:
            raise pytest.UsageError(
                f"{item.nodeid}: say what is allowed and why: @pytest.mark.klog_allow('pattern', reason='...')"
            )
        vm.klog.allow(mark.args[0], reason=reason)


def check(item: pytest.Item) -> None:
    """Check the test's VM after the test's last line, whether it runs or has ended (`VM.check`).

    Raises:
        R4LError: the kernel complained, or the VM ended without the guest's request.
    """
    if vm := item.stash.get(_VM, None):
        vm.check()


def check_models(item: pytest.Item) -> None:
    """Check the models of the devices of a test's VM.

    Raises:
        ModelError: one has raised, or hangs, and no failure has shown that yet.
    """
    vm = machine(item)
    for problem in vm.model_errors() if vm else ():
        raise problem


@contextmanager
def models_first(vm: Callable[[], VM | None], what: str) -> Iterator[None]:
    """Have errors of devices' models come before any other failure of the block, which may be their consequence.

    Args:
        vm: function that returns the VM, if there is one by the end of the block.
        what: the block's name in a sentence.

    Raises:
        ModelError: a model has raised; the block's own failure is noted in it.
    """
    try:
        yield
    except UNFAILED:
        raise
    except BaseException as error:
        made = vm()
        for problem in made.model_errors() if made else ():
            problem.add_note(f"After that {what} has failed: {type(error).__name__}: {error}")
            raise problem  # noqa: B904 (its cause is what the model raised)
        raise


def report(item: pytest.Item, outcome: pytest.TestReport) -> None:
    """Record the end of a test's phase, and the complaints allowed in it.

    For a failure, add the kernel log and the folder of the evidence.
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
    for device in (*vm.cards.values(), *vm.devices):
        outcome.sections.append((f"trace of {device!r}", device.trace.text()))
    outcome.sections.append(("evidence", f"{vm.workdir}\na shell there: pytest '{item.nodeid}' --r4l-shell-on-failure"))


def excuse(item: pytest.Item, call: pytest.CallInfo[None], outcome: pytest.TestReport) -> None:
    """Turn a failure into an error if the host kept the test from its verdict, or QEMU may have."""
    if not outcome.failed or call.excinfo is None:
        return
    vm = machine(item)
    stray = stray_breakpoint(vm) if vm else ""
    if stray:
        setattr(outcome, STRAY, stray)
    if fault := host_fault(call.excinfo.value, vm) or stray:
        setattr(outcome, FAULT, fault)
        advice = UNSURE if fault == stray else "The driver is not to blame: run the test again."
        outcome.sections.append(("could not be judged", f"{fault}\n{advice}"))
        if outcome.when == "call":
            # pytest and all readers of its reports count a failed set-up as an error.
            outcome.when = "setup"


class FailureCount:
    """Counter of failed tests, and of tests that could not be judged."""

    def __init__(self) -> None:
        self._failed = self._faults = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the end of a test's phase."""
        self._faults += hasattr(report, FAULT)
        self._failed += report.failed and not hasattr(report, FAULT)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Exit with the code for faults of the host if no test failed otherwise."""
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and self._faults and not self._failed:
            session.exitstatus = EnvironmentFault.exit_code


def offer_shell(item: pytest.Item) -> None:
    """Open a shell in the guest of a failed test, if the user asked for one and the guest still runs."""
    vm = item.stash.get(_VM, None)
    if not item.config.getoption("--r4l-shell-on-failure") or vm is None or not vm.running:
        return
    # pytest's capture replaces stdin, which must be the terminal here.
    capture = item.config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture(in_=True)
    try:
        if sys.stdin.isatty():
            print(f"\n{item.nodeid} has failed; this is its guest. `exit` goes on.", flush=True)
            vm.shell()
    finally:
        capture.resume_global_capture()
