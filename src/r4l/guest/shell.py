# SPDX-License-Identifier: MIT
"""A shell in the guest on the user's own terminal."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from r4l.errors import UsageError
from r4l.guest.output import Callback
from r4l.guest.process import Terminal

PIECE = 4096


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Put the terminal into raw mode; restore it at the end in any case."""
    saved = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


class _Window:
    """The window of this process's terminal. As a context manager it notes changes of the size.

    Only the main thread can handle signals; in other threads no change is noted.
    """

    def __init__(self) -> None:
        self._changed = False

    def __enter__(self) -> _Window:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGWINCH, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._main:
            signal.signal(signal.SIGWINCH, self._before)

    def _note(self, *_signal: object) -> None:
        # No more than this: the signal may come while this thread holds a lock that sending takes.
        self._changed = True

    def tell(self, process: Running) -> None:
        """Tell a command the size if that has changed."""
        if self._changed:
            self._changed = False
            process.resize(_size())


def _size() -> Terminal:
    size = shutil.get_terminal_size()
    return Terminal(size.lines, size.columns)


def require_terminal() -> None:
    """Check for a terminal before a VM is booted for a shell.

    Raises:
        UsageError: standard input is no terminal.
    """
    if sys.stdin is None or not os.isatty(sys.stdin.fileno()):
        raise UsageError("a shell needs a terminal", "run the command without one: `r4l run MODULE -- COMMAND`")


SHELL = ("/bin/sh", "-l")
"""The command of a shell in the small guest."""


class Running(Protocol):
    """A command on a terminal."""

    def write(self, data: bytes) -> None:
        """Send what was typed."""

    def resize(self, terminal: Terminal) -> None:
        """Tell the command's terminal its new size."""

    def wait_done(self, timeout: float | None = None) -> Any:
        """Wait for the result."""


class Commands(Protocol):
    """A guest, or whatever else starts commands in one."""

    def popen(
        self, command: Sequence[str], *, terminal: Terminal, env: Mapping[str, str], on_stdout: Callback, limit: int
    ) -> AbstractContextManager[Running]:
        """Start a command on a terminal."""


def interactive(guest: Commands, command: Sequence[str] = SHELL) -> int:
    """Run a command in the guest on the terminal of this process until it ends; return its exit code.

    Raises:
        UsageError: standard input is no terminal.
        OSError: the output cannot be shown: its reader is gone, or a disk is full.
    """
    code: int = on_terminal(guest, command).exit_code
    return code


def on_terminal(guest: Commands, command: Sequence[str]) -> Any:
    """Run a command like `interactive`; return its result, as `wait_done` of the guest's commands does."""
    require_terminal()
    source = sys.stdin.fileno()
    out = sys.stdout.fileno()

    def show(data: bytes) -> None:
        while data:
            data = data[os.write(out, data) :]

    env = {"TERM": os.environ.get("TERM", "linux")}
    # Output is shown at once and need not be kept.
    with guest.popen(command, terminal=_size(), env=env, on_stdout=show, limit=0) as process:
        with _raw(source), _Window() as window:
            # Not only a look for its end, which does not come, or is not seen, once the output cannot be shown.
            while (done := process.wait_done(0)) is None:
                window.tell(process)
                ready, _, _ = select.select([source], [], [], 0.05)
                if ready:
                    typed = os.read(source, PIECE)
                    process.write(typed or b"\x04")
        return done
