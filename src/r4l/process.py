# SPDX-License-Identifier: MIT
"""Long-running programs: their output in a log, their progress told line by line, their end tied to ours."""

from __future__ import annotations

import collections
import contextlib
import errno
import io
import os
import re
import shutil
import signal
import subprocess
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from r4l.errors import EnvironmentFault, R4LError

Say = Callable[[str], None]
"""Takes one line of progress to show; lines replace each other on a terminal."""

_running: set[subprocess.Popen[str]] = set()

ALONE, TOGETHER = 0.5, 10.0
"""Seconds after which a program that does not end is interrupted: where only we were, and where it probably was as well
(a second interrupt would cut off what it does after the first)."""
PATIENCE = 30.0
"""Seconds that it may then take to end."""

SGR = re.compile(r"\x1b\[[0-9;]*m")
DISK_FULL = re.compile(r"No space left on device")


def quiet(_line: str) -> None:
    """A `Say` for callers that show nothing."""


def run_logged(
    argv: Sequence[str],
    log: Path,
    failure: Callable[[int, str], R4LError],
    *,
    say: Say = quiet,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    tail_lines: int = 25,
    color: bool = False,
) -> str:
    """Run a program to its end, with everything it prints in `log` and each line given to `say`.

    The program is in a process group of its own, so that Ctrl-C reaches us first and we end all of it; should we
    be killed, the kernel sends it SIGTERM, so that it does not write on beside our successor.

    Args:
        failure: makes the error for a non-zero exit from the exit code and the last `tail_lines` lines.
        color: give it a terminal to print to. What it colours is coloured for `say` only.

    Returns:
        All it printed, stdout and stderr as they came.

    Raises:
        EnvironmentFault: the program does not exist, or the disk is full.
        R4LError: what `failure` made.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: collections.deque[str] = collections.deque(maxlen=tail_lines)
    whole: list[str] = []
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(argv)}\n")
        out.flush()
        ours, theirs = _terminal() if color else (None, subprocess.PIPE)
        try:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *argv],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                encoding="utf-8",
            )
        except FileNotFoundError as error:
            raise EnvironmentFault("setpriv is not installed", "install the package util-linux") from error
        finally:
            if ours is not None:
                os.close(theirs)
        _running.add(process)
        try:
            stream = ours or process.stdout
            assert stream is not None
            for line in stream:
                shown = line.rstrip("\n")
                text = plain(shown) if color else shown
                out.write(f"{text}\n")
                whole.append(text)
                tail.append(text)
                say(shown)
            code = process.wait()
        except BaseException:
            end_group(process)
            raise
        finally:
            _running.discard(process)
    if code == 127 and not shutil.which(argv[0]):
        raise EnvironmentFault(f"{argv[0]} is not installed", "run `r4l doctor --fix`", log=log)
    if code != 0:
        last = "\n".join(tail)
        if DISK_FULL.search(last):
            raise EnvironmentFault(
                "the disk is full",
                "free some space, or set R4L_HOME to a folder on a larger disk",
                detail=last,
                log=log,
            )
        problem = failure(code, last)
        problem.log = problem.log or log
        raise problem
    return "\n".join(whole)


def plain(line: str) -> str:
    """A line without the escape sequences that colour it (ECMA-48, SGR)."""
    return SGR.sub("", line)


class _Terminal(io.FileIO):
    """Our end of a terminal."""

    def readinto(self, buffer: Any, /) -> int | None:
        """EIO is how a terminal says that nobody has its other end open any more."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return 0


def _terminal() -> tuple[IO[str], int]:
    """A terminal that passes on what is printed as it is: our end, and the program's."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return io.TextIOWrapper(io.BufferedReader(_Terminal(ours)), encoding="utf-8", errors="replace"), theirs


def end_group(process: subprocess.Popen[str] | subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End a process started in a session of its own, with its children: SIGTERM, then SIGKILL after `grace` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def run_here(argv: Sequence[str], cwd: Path) -> int:
    """Run a program that has our terminal, to its end: one that is interrupted may still say what it has to say.

    Returns:
        Its exit code.

    Raises:
        KeyboardInterrupt: we were interrupted; the program has ended too.
    """
    told: list[int] = []
    begun = False

    def interrupt(number: int, _frame: object) -> None:
        told.append(number)
        # Amid its start nobody would know of the program yet, and it would be left behind.
        if begun:
            raise KeyboardInterrupt

    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    # The terminal gives its ^C to the program as well, `kill` gives a SIGTERM to us alone.
    with _handling(numbers, interrupt), subprocess.Popen(argv, cwd=cwd) as process:
        try:
            begun = True
            if told:
                raise KeyboardInterrupt
            return process.wait()
        except KeyboardInterrupt:
            with _handling(numbers, signal.SIG_IGN):
                # One that was started with SIGINT ignored, as a script's background jobs are, hears SIGTERM only.
                ask = signal.SIGINT if signal.SIGINT in numbers else signal.SIGTERM
                _see_out(process, ask, ALONE if signal.SIGTERM in told else TOGETHER)
            raise


@contextlib.contextmanager
def _handling(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _see_out(process: subprocess.Popen[bytes], ask: signal.Signals, moment: float) -> None:
    """Wait for a program to end; after a moment ask it to, and kill it only long after that."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
        return
    process.send_signal(ask)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
        return
    process.kill()
    process.wait()


def end_all() -> None:
    """End every program that `run_logged` runs at this moment, in any thread: what Ctrl-C asks for."""
    for process in list(_running):
        end_group(process)
