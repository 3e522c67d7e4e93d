# SPDX-License-Identifier: MIT
"""Checks that are broken themselves, above all a teacher's hidden ones: nobody is judged by them.

Only errors that no student's code can cause count, since nobody may choose not to be judged: a value that a guest
printed leads to a ValueError, an IndexError, or a missing attribute of None.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Collection
from pathlib import Path

import pytest

from r4l.process import SGR

OWN = "r4l"
CALL = re.compile(
    r"^[\w.<>]+\(\) (?:got an unexpected keyword argument|got multiple values for|missing \d+ required"
    r"|takes (?:\d+|from \d+ to \d+|no) )"
)
"""Python's message for a call that does not fit the function (Objects/call.c, Python/ceval.c)."""
LONGEST = 300


def is_broken(error: BaseException, students: Collection[Path] = ()) -> bool:
    """True if an error shows that the check is wrong, whatever the student has written.

    Args:
        error: error that a check has raised.
        students: folders with files of the student or of the run; a check may miss a file there.
    """
    match error:
        case UnboundLocalError():
            # Which lines of the check ran may depend on the student's code.
            return False
        case SyntaxError(filename=name):
            # `ast.literal_eval` of a guest's output names no file.
            return name is not None and Path(name).is_file() and not _is_within(name, students)
        case NameError() | ImportError() | pytest.FixtureLookupError():
            return True
        case AttributeError(obj=owner):
            return inspect.ismodule(owner) or _is_ours(owner)
        case TypeError():
            return bool(CALL.match(str(error)))
        case FileNotFoundError(filename=str() | os.PathLike() as name):
            return not _is_within(name, students)
        case _:
            return False


def _is_within(name: str | os.PathLike[str], folders: Collection[Path]) -> bool:
    path = Path(name).resolve()
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


def _is_ours(owner: object) -> bool:
    owners = owner if inspect.isclass(owner) else type(owner)
    return owners.__module__.partition(".")[0] == OWN


def said(path: Path, text: str, *, hidden: bool) -> str:
    """Return the sentence for a broken file of checks: whose it is, its name, and the reason.

    Args:
        path: the file.
        text: the error, of which the last line that says something counts.
        hidden: True for a file of the teacher's, False for one of the lab's.
    """
    lines = [line.removeprefix("E ").strip() for line in SGR.sub("", text).splitlines() if line.strip()]
    owner = "the hidden check" if hidden else "the lab's own check"
    return f"{owner} {path.name} is broken: {(lines or ['no reason is given'])[-1][:LONGEST]}"
