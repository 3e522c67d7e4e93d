# SPDX-License-Identifier: MIT
"""Start this Python where the current folder may be a stranger's: it imports nothing from there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

OWN_PYTHON = (sys.executable, "-P")
"""Beginning of a command line for this Python in a folder that may be a stranger's. Without -P, `-m` and `-c` import
modules of the current folder first, and run them (Python's manual, "Command line and environment")."""
SAFE_PATH = ("PYTHONSAFEPATH", "r4l")
"""Environment variable with the meaning of -P, and r4l's value of it; Python takes any that is not empty."""


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Have every Python started in the block leave the current folder out of its path.

    For libraries that start Python by themselves, such as multiprocessing with its `-c`.
    """
    os.environ.setdefault(*SAFE_PATH)
    try:
        yield
    finally:
        end_safe_path()


def end_safe_path() -> None:
    """Undo `safe_path` in this process, for what it starts; the user's own setting stays."""
    name, ours = SAFE_PATH
    if os.environ.get(name) == ours:
        del os.environ[name]
