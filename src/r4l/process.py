# SPDX-License-Identifier: MIT
"""Long-running programs: their output in a log, their progress told line by line, their end tied to ours."""

from __future__ import annotations

import codecs
import collections
import contextlib
import errno
import io
import os
import re
import select
import selectors
import shutil
import signal
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from r4l.errors import EnvironmentFault, R4LError
from r4l.limits import UNLIMITED, Limits, exceeded, met
from r4l.watchdog import Watchdog

Say = Callable[[str], None]
"""Takes one line of progress to show; lines replace each other on a terminal."""

_running: set[subprocess.Popen[bytes]] = set()

CHUNK = 1 << 16
LONGEST_LINE = 1 << 16
"""Characters after which a line is taken for whole."""
LOOK = 0.5
"""Seconds between two looks at whether a program that prints nothing has ended."""
DETAIL = 4096
"""Bytes of a program's last words that an error quotes."""

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
    limits: Limits = UNLIMITED,
    what: str = "",
) -> str:
    """Run a program to its end, with everything it prints in `log` and each line given to `say`.

    The program is in a process group of its own, so that Ctrl-C reaches us first and we end all of it; should we
    be killed, the kernel sends it SIGTERM, so that it does not write on beside our successor.

    Args:
        failure: makes the error for a non-zero exit from the exit code and the last `tail_lines` lines.
        color: give it a terminal to print to. What it colours is coloured for `say` only.
        limits: a program that exceeds them is ended.
        what: the program, for the error of one that exceeds them; its name where empty.

    Returns:
        All it printed, stdout and stderr as they came.

    Raises:
        EnvironmentFault: the program does not exist, or the disk is full.
        LimitExceeded: it took more than it may.
        R4LError: what `failure` made.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: collections.deque[str] = collections.deque(maxlen=tail_lines)
    whole: list[str] = []
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(argv)}\n")
        out.flush()
        ours, theirs = _terminal() if color else os.pipe()
        try:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *argv],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            os.close(ours)
            raise EnvironmentFault("setpriv is not installed", "install the package util-linux") from error
        finally:
            os.close(theirs)
        _running.add(process)
        try:
            with Watchdog(process, limits, end_group) as watchdog:
                for line in _lines(ours, process, limits, watchdog):
                    text = plain(line) if color else line
                    out.write(f"{text}\n")
                    whole.append(text)
                    tail.append(text)
                    say(line)
                code = process.wait()
        except BaseException:
            end_group(process)
            raise
        finally:
            os.close(ours)
            _running.discard(process)
    last = "\n".join(tail)
    if watchdog.exceeded:
        problem: R4LError = exceeded(what or Path(argv[0]).name, watchdog.exceeded, limits, last)
        problem.log = log
        raise problem
    if code == 127 and not shutil.which(argv[0]):
        raise EnvironmentFault(f"{argv[0]} is not installed", "run `r4l doctor --fix`", log=log)
    if code != 0:
        if DISK_FULL.search(last):
            raise EnvironmentFault(
                "the disk is full",
                "free some space, or set R4L_HOME to a folder on a larger disk",
                detail=last,
                log=log,
            )
        limit = met(last, limits)
        problem = exceeded(what or Path(argv[0]).name, limit, limits, last) if limit else failure(code, last)
        problem.log = problem.log or log
        raise problem
    return "\n".join(whole)


def _lines(descriptor: int, process: subprocess.Popen[bytes], limits: Limits, watchdog: Watchdog) -> Iterator[str]:
    """What a program prints, line by line; one that is too long in pieces. More than it may print ends it."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    printed, begun = 0, ""
    while chunk := _read(descriptor, process):
        printed += len(chunk)
        if limits.output is not None and printed > limits.output and not watchdog.exceeded:
            watchdog.exceed("output")
        if watchdog.exceeded == "output":
            return
        *lines, begun = (begun + decoder.decode(chunk)).split("\n")
        yield from lines
        if len(begun) > LONGEST_LINE:
            yield begun
            begun = ""
    begun += decoder.decode(b"", final=True)
    if begun:
        yield begun


def _read(descriptor: int, process: subprocess.Popen[bytes]) -> bytes:
    """The next bytes that a program prints; none at its end, though something that it started may live on."""
    ended = False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        if poll.poll(0 if ended else LOOK * 1000):
            try:
                return os.read(descriptor, CHUNK)
            except OSError as error:
                # How a terminal says that nobody has its other end open any more.
                if error.errno != errno.EIO:
                    raise
                return b""
        if ended:
            return b""
        ended = process.poll() is not None


def run_captured(
    argv: Sequence[str],
    *,
    input: bytes = b"",  # noqa: A002 (subprocess's own name)
    limits: Limits = UNLIMITED,
    what: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, with what it prints kept in memory.

    Args:
        input: what it reads.
        limits: a program that exceeds them is ended.
        what: the program, for the error of one that exceeds them; its name where empty.

    Raises:
        FileNotFoundError: there is no such program.
        LimitExceeded: it took more than it may.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    _running.add(process)
    kept: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    try:
        with Watchdog(process, limits, end_group) as watchdog:
            feeder = threading.Thread(target=_feed, args=(process.stdin, input), daemon=True)
            feeder.start()
            _keep(process, kept, limits, watchdog)
            code = process.wait()
    except BaseException:
        end_group(process)
        raise
    finally:
        _running.discard(process)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
    stdout, stderr = b"".join(kept["stdout"]), b"".join(kept["stderr"])
    if watchdog.exceeded:
        detail = stderr[-DETAIL:].decode(errors="replace")
        raise exceeded(what or Path(argv[0]).name, watchdog.exceeded, limits, detail)
    return subprocess.CompletedProcess(argv, code, stdout, stderr)


def _feed(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _keep(process: subprocess.Popen[bytes], kept: dict[str, list[bytes]], limits: Limits, watchdog: Watchdog) -> None:
    """Read both of a program's streams to their end, or until it has printed more than it may."""
    printed = 0
    with selectors.DefaultSelector() as selector:
        for name in kept:
            selector.register(getattr(process, name), selectors.EVENT_READ, name)
        while selector.get_map():
            ended = process.poll() is not None
            ready = selector.select(0 if ended else LOOK)
            if ended and not ready:
                return
            for key, _ in ready:
                chunk = os.read(key.fd, CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                kept[key.data].append(chunk)
                printed += len(chunk)
                if limits.output is not None and printed > limits.output:
                    watchdog.exceed("output")
                    return


def plain(line: str) -> str:
    """A line without the escape sequences that colour it (ECMA-48, SGR)."""
    return SGR.sub("", line)


def _terminal() -> tuple[int, int]:
    """A terminal that passes on what is printed as it is: our end, and the program's."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return ours, theirs


def end_group(process: subprocess.Popen[bytes], grace: float = 5.0) -> None:
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
