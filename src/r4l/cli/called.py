# SPDX-License-Identifier: MIT
"""The words by which the program was called, so that a command in a message works as typed where the user is."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

COMMAND = "R4L_COMMAND"
"""Variable in which the launcher leaves the words by which it was called (`./r4l`)."""


def called(*, anywhere: bool = False) -> str:
    """Return the program as the user types it; `r4l` if it was found on PATH.

    Args:
        anywhere: the user changes to another folder first, so a path must be absolute.
    """
    command = os.environ.get(COMMAND) or "r4l"
    return shlex.quote(str(Path(command).absolute()) if anywhere and "/" in command else command)


def as_called(text: str) -> str:
    """Return a text whose commands, which stand between backticks, begin with the program as it was called."""
    return re.sub(r"`r4l(?= )", lambda _: f"`{called()}", text)
