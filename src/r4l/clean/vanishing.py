# SPDX-License-Identifier: MIT
"""Looks at entries that other processes may remove meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST = 30
"""Number of looks; each further one is due to a removal during the one before."""


def undisturbed(look: Callable[[], T]) -> T:
    """Call a function until nothing vanishes under it, and return its result.

    Raises:
        FileNotFoundError, NotADirectoryError: something has vanished during each of `MOST` calls.
    """
    for _ in range(MOST - 1):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return look()
    return look()
