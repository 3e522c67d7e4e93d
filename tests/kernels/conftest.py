# SPDX-License-Identifier: MIT
"""Kernels from source, each built once; where one is there already, make only does what has changed."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel


@pytest.fixture(scope="session")
def minimal() -> Kernel:
    """The kernel `minimal`."""
    return Kernel.find("minimal")
