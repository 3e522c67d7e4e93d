# SPDX-License-Identifier: MIT
"""Paths that make and a shell can take."""

from __future__ import annotations

import os
import re
from pathlib import Path

from r4l.errors import UsageError

UNFIT = re.compile(r"[^\w./+@,=~^%-]")
"""A character that the kernel's Makefiles, which quote no path, do not get through to the compiler."""


def require_for_make(path: Path, remedy: str) -> None:
    """See that the kernel's Makefiles can take a path.

    Args:
        remedy: what to do where they cannot.

    Raises:
        UsageError: a character in it that they cannot.
    """
    if found := UNFIT.search(str(path)):
        what = {" ": "a space", ":": "a colon"}.get(found[0], f"the character {found[0]!a}")
        shown = os.fsencode(path).decode(errors="replace")
        raise UsageError(f"{shown} has {what} in its path, which the kernel's Makefiles cannot take", remedy)
