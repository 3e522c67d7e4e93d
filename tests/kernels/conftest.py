# SPDX-License-Identifier: MIT
"""Fixtures of the tests that need a kernel built from source."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel
from r4l.setup import set_up
from r4l.stages import Stages


@pytest.fixture(scope="session")
def minimal() -> Kernel:
    """The kernel of the profile `minimal`, built first where it is not there."""
    with Stages() as stages:
        return set_up(stages, "minimal")
