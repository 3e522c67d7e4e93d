# SPDX-License-Identifier: MIT
"""Where tables are printed."""

from __future__ import annotations

from rich.console import Console

WIDE = 200
"""Characters of a line that goes to no terminal: a file, a pipe, a CI's log have no edge to cut or wrap at."""


def screen(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, where there is one."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
