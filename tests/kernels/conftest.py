# SPDX-License-Identifier: MIT
"""Kernels from source, each built once; for an existing one make only builds the differences."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel


@pytest.fixture(scope="session")
def minimal() -> Kernel:
    """The kernel `minimal`."""
    return Kernel.get("minimal")
