# SPDX-License-Identifier: MIT
"""A handler for threads whose failure fails the test."""

from __future__ import annotations


def unhandled(error: BaseException) -> None:
    """Raise the exception that has ended a thread: pytest fails the test of an unhandled one."""
    raise error
