# SPDX-License-Identifier: MIT
"""Paths that others cannot take as they are: the kernel's Makefiles and sockets."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
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


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield an address of a socket at a path of any length, valid inside the `with` block.

    The kernel takes 107 bytes (unix(7)); the address goes through the descriptor of the socket's folder.

    Raises:
        OSError: the folder is missing.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
