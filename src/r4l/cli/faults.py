# SPDX-License-Identifier: MIT
"""What the machine refuses, told from a bug in r4l: files that cannot be had, a folder that is gone, a lost reader."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r4l.errors import EnvironmentFault, R4LError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_HOME = "Could not determine home directory"
"""How the RuntimeError of `Path.home` and `Path.expanduser` begins; it has no class of its own."""


class ReaderGone(Exception):
    """Whoever read our output (`| head`) wants no more of it."""


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Raise `ReaderGone` for a pipe that broke: click and Rich would both end us with an exit code of their own."""
    try:
        yield
    except BrokenPipeError as error:
        if _is_broken(1) or _is_broken(2):
            raise ReaderGone from error
        # Without its number, or click would take it for a lost reader.
        raise ConnectionError("a program that r4l talks to has gone") from error
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise ReaderGone from end
        raise


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def flush_stdout() -> OSError | None:
    """Write what is still to be written; where that fails, drop it, or Python would complain of it at exit."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def fault_of(error: BaseException) -> R4LError | None:
    """The error to show for one that the machine is to blame for; None for a bug."""
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return EnvironmentFault("the folder that you are in is gone", "cd to another one")
    if isinstance(error, RuntimeError) and str(error).startswith(NO_HOME):
        return EnvironmentFault(
            f"{str(error).rstrip('.').replace('Could not', 'cannot')}", "set HOME, or write the path out"
        )
    if isinstance(error, OSError) and (error.filename is not None or error.errno in NO_SPACE):
        return _file_fault(error)
    return None


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _file_fault(error: OSError) -> EnvironmentFault:
    if error.filename is None:
        # Of a write, Python knows no name.
        cause = f"cannot write: {error.strerror}"
    elif error.errno in (*NO_SPACE, errno.EROFS):
        cause = f"cannot write {_shown(error.filename)}: {error.strerror}"
    else:
        cause = f"cannot read or write {_shown(error.filename)}: {error.strerror}"
    return EnvironmentFault(cause, _remedy(error))


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes) else str(name)


def _remedy(error: OSError) -> str:
    if error.errno in NO_SPACE:
        return "free some space, or set R4L_HOME to a folder on a larger disk"
    named = os.environ.get("R4L_HOME")
    if named and Path(_shown(error.filename)).is_relative_to(Path(named).absolute()):
        return "set R4L_HOME to a folder you can write to"
    return "see that it is there and that you may use it, or name another"
