# SPDX-License-Identifier: MIT
"""Fixtures that all tests share."""

from __future__ import annotations

import signal

import pytest

from r4l.kernel import Kernel

# A job that a script starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["r4l.rows.record"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The same tests on another kernel: `pytest tests/vm/test_e1000.py --kernel debug`, `... --arch arm64`."""
    group = parser.getgroup("r4l")
    group.addoption("--kernel", default="stock", help="the kernel that tests run on (stock)")
    group.addoption("--arch", default="x86_64", help="its architecture (x86_64)")


@pytest.fixture(scope="session")
def kernel(pytestconfig: pytest.Config) -> Kernel:
    """The kernel to test on, the stock one where none is named; made ready first where it is not."""
    return Kernel.find(pytestconfig.getoption("--kernel"), arch=pytestconfig.getoption("--arch"))
