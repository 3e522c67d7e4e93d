# SPDX-License-Identifier: MIT
"""Run a test once more that the host has kept from its verdict (`--r4l-again`)."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

from r4l.testing.verdict import FAULT, forget

_TWICE = pytest.StashKey[bool]()


class OnceMore:
    """The plugin that the option adds. A second attempt counts, however it ends; the first one is a warning."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object:
        """Run a test, and a second time if the first says nothing about the driver."""
        if _TWICE in item.stash:
            # pytest's own protocol.
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if fault := next((getattr(one, FAULT) for one in reports if hasattr(one, FAULT)), ""):
            forget(item)
            item.stash[_TWICE] = True
            # pytest keeps the exception of a fixture, of whatever scope, and would raise it again.
            item.session._setupstate.teardown_exact(None)
            item.warn(pytest.PytestWarning(f"{item.nodeid} is run again, since it could not be judged: {fault}"))
            # Through the hook, so that the second attempt has a time-out of its own.
            return item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        for one in reports:
            item.ihook.pytest_runtest_logreport(report=one)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
