# SPDX-License-Identifier: MIT
"""Editor files of a folder that was moved, brought along by the commands that build it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape

from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.stages import Stages


def follow(module: Module, kernel: Kernel, stages: Stages) -> None:
    """Write a folder's editor files again if the folder, or r4l's home, was moved since `r4l ide`.

    Files that the user has changed stay, with a note, and so do those that cannot be written: the command has another
    purpose.
    """
    if not any(module.folder.glob("*.json")):
        return
    # Imported here, not above: most folders have no editor files.
    from r4l import ide
    from r4l.ide import owned

    with _only_noted(stages):
        if owned.moved(module.folder) is None:
            return
        with stages.stage("editor files of a moved folder") as say, _only_noted(stages):
            ide.rewrite_if_moved(module, kernel, say)


@contextmanager
def _only_noted(stages: Stages) -> Iterator[None]:
    try:
        yield
    except (R4LError, OSError) as error:
        cause = error.cause if isinstance(error, R4LError) else str(error)
        stages.console.print(f"[yellow]note:[/] {escape(cause)}: the editor files are for the folder's old place")
