# SPDX-License-Identifier: MIT
"""Check that a path is usable in the kernel's Makefiles."""

from __future__ import annotations

import os
import re
from pathlib import Path

from r4l.errors import UsageError

UNFIT = re.compile(r"[^\w./+@,=~^%-]")
"""Characters that break the kernel's Makefiles, which do not quote paths."""


def require_for_make(path: Path, remedy: str) -> None:
    """Refuse a path that the kernel's Makefiles cannot handle.

    Args:
        remedy: the error's remedy.

    Raises:
        UsageError: the path contains such a character.
    """
    if found := UNFIT.search(str(path)):
        what = {" ": "a space", ":": "a colon"}.get(found[0], f"the character {found[0]!a}")
        shown = os.fsencode(path).decode(errors="replace")
        raise UsageError(f"{shown} has {what} in its path, which the kernel's Makefiles cannot handle", remedy)
