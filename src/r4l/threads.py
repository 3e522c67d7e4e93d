# SPDX-License-Identifier: MIT
"""Threads that do not end in silence: Python prints an exception that ends one, and all others go on without it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import ParamSpec

from r4l.errors import NO_SPACE, R4LError, disk_full

P = ParamSpec("P")

Failed = Callable[[BaseException], object]
"""Function called, on the thread, with the exception that ends it. It has those told who rely on the thread."""


def guarded(work: Callable[P, object], failed: Failed) -> Callable[P, None]:
    """Return a function for a thread, which does the work and hands an exception on."""

    def run(*arguments: P.args, **words: P.kwargs) -> None:
        try:
            work(*arguments, **words)
        except BaseException as error:  # noqa: BLE001 (whatever ended the thread, those who wait for it have to know)
            failed(error)

    return run


def thread_failure(work: str, error: BaseException) -> R4LError:
    """Return the error for those who wait for a thread that an exception has ended.

    Args:
        work: what the thread did, as the beginning of a sentence.
        error: the exception.
    """
    if isinstance(error, R4LError):
        return error
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        found: R4LError = disk_full(str(error))
    else:
        said = "".join(traceback.format_exception(error))
        found = R4LError(f"{work} has failed: {type(error).__name__}: {error}", "report this as a bug", detail=said)
    found.__cause__ = error
    return found
