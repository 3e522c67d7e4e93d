# SPDX-License-Identifier: MIT
"""Fixtures that all tests share."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel

pytest_plugins = ["r4l.rows.record"]


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The stock kernel, made ready first where it is not."""
    return Kernel.stock()
