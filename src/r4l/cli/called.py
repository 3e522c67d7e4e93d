# SPDX-License-Identifier: MIT
"""How the program was called: what we tell a user to type next has to work where they stand."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

COMMAND = "R4L_COMMAND"
"""Variable in which the launcher leaves the words by which it was called (`./r4l`)."""


def called(*, anywhere: bool = False) -> str:
    """The program as the user types it; `r4l` where it was found on PATH.

    Args:
        anywhere: they go to another folder before.
    """
    command = os.environ.get(COMMAND) or "r4l"
    return shlex.quote(str(Path(command).absolute()) if anywhere and "/" in command else command)


def as_called(text: str) -> str:
    """A text whose commands, which stand between backticks, begin with the program as it was called."""
    return re.sub(r"`r4l(?= )", lambda _: f"`{called()}", text)
