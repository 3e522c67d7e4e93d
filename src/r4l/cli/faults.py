# SPDX-License-Identifier: MIT
"""Errors that the machine causes, told from bugs in r4l: unreadable files, a removed working folder, a closed output
pipe."""

from __future__ import annotations

import errno
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from r4l.errors import NO_SPACE, EnvironmentFault, R4LError, UsageError

NO_HOME = "Could not determine home directory"
"""Beginning of the RuntimeError of `Path.home` and `Path.expanduser`, which has no class of its own."""


class ReaderGone(Exception):
    """The reader of the output (`| head`) has closed the pipe."""


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Raise `ReaderGone` for a broken output pipe, before click and Rich exit with a code of their own."""
    try:
        yield
    except BrokenPipeError as error:
        if _is_broken(1) or _is_broken(2):
            raise ReaderGone from error
        # Another class and no errno: click would take a BrokenPipeError for a closed output pipe.
        raise ConnectionError("a program that r4l talks to has gone") from error
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise ReaderGone from end
        raise


def _is_broken(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def fill_closed() -> None:
    """Give the descriptors 0, 1 and 2 that the caller has closed to /dev/null.

    A file that is opened later would have such a number, and programs that r4l starts would write there. `sys.stdin` of
    a closed one stays None: nothing was piped in.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the end)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def flush_stdout() -> OSError | None:
    """Flush stdout; return the error if that fails. See `flush_or_drop`."""
    return flush_or_drop(sys.stdout)


def flush_or_drop(stream: TextIO | None) -> OSError | None:
    """Flush a stream; return the error if that fails, with the rest dropped, so that Python does not complain at exit,
    with an exit code of its own."""
    if stream is None:
        return None
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def output_fault(error: OSError) -> R4LError:
    """Return the error to show for standard output that cannot be written."""
    unnamed = EnvironmentFault(f"cannot write standard output: {error.strerror}", "send it to another place")
    return fault_of(error) or unnamed


def fault_of(error: BaseException) -> R4LError | None:
    """Return the error to show for an exception that the machine caused; None for a bug."""
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return EnvironmentFault("the current folder no longer exists", "change to another folder with cd")
    if isinstance(error, RuntimeError) and str(error).startswith(NO_HOME):
        return EnvironmentFault(
            f"{str(error).rstrip('.').replace('Could not', 'cannot')}", "set HOME, or write the path out"
        )
    if isinstance(error, RuntimeError):
        return _in_a_circle(error)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in NO_SPACE):
        return _file_fault(error)
    return None


def _in_a_circle(error: RuntimeError) -> R4LError | None:
    """Return the error for `Path.resolve` of a link that leads to itself, which has no class of its own."""
    found = re.fullmatch(r"Symlink loop from '(.*)'", str(error), re.DOTALL)
    return (
        UsageError(f"{found[1]} is a link that leads in a circle", "name the folder or file itself") if found else None
    )


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _file_fault(error: OSError) -> EnvironmentFault:
    if error.filename is None:
        # For a failed write Python gives no file name.
        cause = f"cannot write: {error.strerror}"
    elif error.errno in (*NO_SPACE, errno.EROFS):
        cause = f"cannot write {_shown(error.filename)}: {error.strerror}"
    else:
        cause = f"cannot read or write {_shown(error.filename)}: {error.strerror}"
    return EnvironmentFault(cause, _remedy(error))


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes) else str(name)


def _remedy(error: OSError) -> str:
    if error.errno in NO_SPACE and error.filename is None:
        return "free some space, or write to another disk; r4l's own files lie in R4L_HOME"
    if error.errno in NO_SPACE:
        return "free some space, or set R4L_HOME to a folder on a larger disk"
    named = os.environ.get("R4L_HOME")
    if named and Path(_shown(error.filename)).is_relative_to(Path(named).absolute()):
        return "set R4L_HOME to a folder you can write to"
    return "check that the file exists and that you may use it, or name another"
