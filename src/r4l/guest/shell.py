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
from collections.abc import Iterator, Sequence

from r4l.errors import UsageError
from r4l.guest.guest import Guest
from r4l.guest.process import GuestProcess, Terminal

PIECE = 4096


@contextlib.contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """The terminal in raw mode; as it was afterwards, whatever happens."""
    saved = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


@contextlib.contextmanager
def _on_resize(process: GuestProcess) -> Iterator[None]:
    """Tell the guest whenever the user's window changes. Only the main thread may take signals; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: process.resize(_size()))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _size() -> Terminal:
    size = shutil.get_terminal_size()
    return Terminal(size.lines, size.columns)


def require_terminal() -> None:
    """Say before a machine boots for it that there is no terminal for a shell.

    Raises:
        UsageError: standard input is none.
    """
    if sys.stdin is None or not os.isatty(sys.stdin.fileno()):
        raise UsageError("a shell needs a terminal", "run the command without one: `r4l run MODULE -- COMMAND`")


def interactive(guest: Guest, command: Sequence[str] = ("/bin/sh", "-l")) -> int:
    """Run a command in the guest on the terminal of this process, until it ends; returns its exit code.

    Raises:
        UsageError: standard input is no terminal.
    """
    require_terminal()
    source = sys.stdin.fileno()
    out = sys.stdout.fileno()

    def show(data: bytes) -> None:
        while data:
            data = data[os.write(out, data) :]

    env = {"TERM": os.environ.get("TERM", "linux")}
    # What was shown need not be kept.
    with guest.popen(command, terminal=_size(), env=env, on_stdout=show, limit=0) as process:
        with _raw(source), _on_resize(process):
            while process.poll() is None:
                if process.failure is not None:
                    raise process.failure
                ready, _, _ = select.select([source], [], [], 0.05)
                if ready:
                    typed = os.read(source, PIECE)
                    process.write(typed or b"\x04")
        done = process.wait_done(5)
    return done.exit_code if done else 1
