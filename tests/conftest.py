# SPDX-License-Identifier: MIT
"""Fixtures that all tests share."""

from __future__ import annotations

import signal

import pytest

from r4l.kernel import Kernel

# A job that a script starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["r4l.rows.record"]


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The stock kernel, made ready first where it is not."""
    return Kernel.stock()
