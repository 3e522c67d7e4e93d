# SPDX-License-Identifier: MIT
"""Run a test once more that the host has kept from its verdict (`--r4l-again`)."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from _pytest.runner import runtestprotocol

from r4l.testing.verdict import FAULT, STRAY, forget
from r4l.vm.one_cpu import one_cpu

_TWICE = pytest.StashKey[bool]()


class OnceMore:
    """The plugin that the option adds. A second attempt counts, however it ends; the first one is a warning.

    Where QEMU's fault with breakpoints may be the reason, the second attempt's machines have one processor.

    Args:
        faults: False to run only those tests again that may have met that fault.
    """

    def __init__(self, *, faults: bool = True) -> None:
        self._faults = faults

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run a test, and a second time if the first says nothing about the driver."""
        if _TWICE in item.stash:
            # pytest's own protocol.
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        stray = any(will_be_again(item, one) for one in reports)
        faults = [getattr(one, FAULT) for one in reports if hasattr(one, FAULT)] if stray or self._faults else []
        if faults:
            forget(item)
            item.stash[_TWICE] = True
            # pytest keeps the exception of a fixture, of whatever scope, and would raise it again.
            item.session._setupstate.teardown_exact(None)
            item.warn(pytest.PytestWarning(f"{item.nodeid} is run again, since it could not be judged: {faults[0]}"))
            with one_cpu() if stray else nullcontext():
                # Through the hook, so that the second attempt has a time-out of its own. A machine with one processor
                # does not stay for the tests that follow.
                following = None if stray else nextitem
                return item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        for one in reports:
            item.ihook.pytest_runtest_logreport(report=one)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


def will_be_again(item: pytest.Item, report: pytest.TestReport) -> bool:
    """True if a report is of a first attempt that may have met QEMU's fault with breakpoints."""
    return hasattr(report, STRAY) and _TWICE not in item.stash
