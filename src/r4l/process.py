# SPDX-License-Identifier: MIT
"""Run long programs: output to a log, progress line by line, and an end together with this process."""

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
import sys
import threading
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from r4l.errors import EnvironmentFault, R4LError, disk_full
from r4l.limits import UNLIMITED, Limits, exceeded, met
from r4l.shortage import DISK_FULL, KILLED, full_disk, oom_kills
from r4l.threads import guarded
from r4l.watchdog import Watchdog

Say = Callable[[str], None]
"""Function that shows one line of progress; on a terminal each line replaces the last."""

_running: set[subprocess.Popen[bytes]] = set()

CHUNK = 1 << 16
LONGEST_LINE = 1 << 16
"""Characters after which a line is passed on without its end."""
LOOK = 0.5
"""Seconds between checks whether a silent program has ended."""
DETAIL = 4096
"""Bytes at the end of a program's output that an error quotes."""
HOST_REMEDY = {
    "seconds": "run the command again when the machine is less busy, or set R4L_BUILD_SECONDS to a higher limit",
    "memory": "use a machine with more memory, or set R4L_BUILD_MEMORY to a higher limit",
}
"""Remedies for limits that the host made a program exceed."""
SGR = re.compile(r"\x1b\[[0-9;]*m")


def quiet(_line: str) -> None:
    """Discard a line of progress; a `Say` for callers without display."""


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
    folders: Sequence[Path] = (),
    what: str = "",
) -> str:
    """Run a program to its end and return its output; each line goes to `log` and to `say`.

    The program has a process group of its own, so that Ctrl-C reaches this process first, which ends the whole group.
    If this process is killed, the kernel sends SIGTERM to the program, so that it does not write beside a successor.

    Args:
        failure: makes the error for a non-zero exit from the exit code and the last `tail_lines` lines.
        color: print to a pseudo-terminal; colours are passed to `say` only.
        limits: the program is ended if it exceeds them.
        folders: folders that the program writes to. The program's words for a full disk count only if one of their
            disks, or that of the log, is full.
        what: subject of an error about limits; by default the program's name.

    Returns:
        stdout and stderr, interleaved as printed.

    Raises:
        EnvironmentFault: the program does not exist, or this machine has too little space, memory or processor time.
        LimitExceeded: the program exceeded a limit.
        R4LError: the result of `failure`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: collections.deque[str] = collections.deque(maxlen=tail_lines)
    whole: list[str] = []
    killed = oom_kills()
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(argv)}\n")
        out.flush()
        ours, theirs = _terminal() if color else os.pipe()
        try:
            process = subprocess.Popen(
                [*dying("TERM"), *argv],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        _running.add(process)
        try:
            with Watchdog(process, limits, end_group, folders) as watchdog:
                for line in _lines(ours, process, limits, watchdog):
                    text = without_colours(line) if color else line
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
    what = what or Path(argv[0]).name
    if watchdog.exceeded:
        problem = _exceeded(what, watchdog.exceeded, watchdog, limits, last)
        problem.log = log
        raise problem
    if code == 127 and not shutil.which(argv[0]):
        raise EnvironmentFault(f"{argv[0]} is not installed", "install it with this machine's package manager", log=log)
    if code != 0:
        if DISK_FULL.search(last) and full_disk((*folders, log.parent)):
            raise disk_full(last, log=log)
        if KILLED.search(last) and oom_kills() > killed and _is_modest(watchdog, limits):
            raise EnvironmentFault(
                f"this machine has no memory left: its kernel ended processes during {what}",
                "close other programs, or use a machine with more memory",
                detail=last,
                log=log,
            )
        limit = met(last, limits)
        problem = _exceeded(what, limit, watchdog, limits, last) if limit else failure(code, last)
        problem.log = problem.log or log
        raise problem
    return "\n".join(whole)


def _is_modest(watchdog: Watchdog, limits: Limits) -> bool:
    """True if a program held so little memory that a machine without any left is not its doing."""
    return limits.memory is None or watchdog.peak <= limits.memory // 2


def _exceeded(what: str, limit: str, watchdog: Watchdog, limits: Limits, last: str) -> R4LError:
    """Return the error for a program that exceeded a limit; the host's own if the host made the program exceed it."""
    problem = exceeded(what, limit, limits, last)
    fault = ""
    if limit == "seconds":
        fault = watchdog.time.starved(watchdog.seconds)
    elif limit == "memory" and limits.scant and limits.memory is not None:
        # A program can print the words for an allocation that failed.
        reached = watchdog.exceeded == "memory" or max(watchdog.peak, watchdog.largest) > limits.memory // 2
        fault = "this machine is too small for more" if reached else ""
    if not fault:
        return problem
    return EnvironmentFault(f"{problem.cause}: {fault}", HOST_REMEDY[limit], detail=last)


def _lines(descriptor: int, process: subprocess.Popen[bytes], limits: Limits, watchdog: Watchdog) -> Iterator[str]:
    """Yield a program's output line by line; lines that are too long come in pieces.

    End the program if it prints too much.
    """
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
    """Return the next bytes of a program's output; empty at its end, even if its descendants live on."""
    ended = False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        if poll.poll(0 if ended else LOOK * 1000):
            try:
                return os.read(descriptor, CHUNK)
            except OSError as error:
                # A terminal reports EIO once its other end is closed.
                if error.errno != errno.EIO:
                    raise
                return b""
        if ended:
            return b""
        ended = process.poll() is not None


def dying(name: str) -> list[str]:
    """Return the beginning of a command line whose program gets a signal, such as TERM, when its starter's thread
    ends."""
    if shutil.which("setpriv"):
        return ["setpriv", "--pdeathsig", name]
    number = signal.Signals[f"SIG{name}"].value
    return [sys.executable, "-I", str(Path(__file__).with_name("pdeathsig.py")), str(number)]


@contextlib.contextmanager
def ends_with_us(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Have `end_all` end a program too, within the `with` block."""
    _running.add(process)
    try:
        yield
    finally:
        _running.discard(process)


def run_captured(
    argv: Sequence[str],
    *,
    input: bytes = b"",  # noqa: A002 (subprocess's own name)
    limits: Limits = UNLIMITED,
    folders: Sequence[Path] = (),
    what: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, keeping its output in memory.

    Args:
        input: standard input.
        limits: the program is ended if it exceeds them.
        folders: folders that the program writes to.
        what: subject of an error about limits; by default the program's name.

    Raises:
        EnvironmentFault: this machine has too little memory or processor time.
        FileNotFoundError: the program does not exist.
        LimitExceeded: the program exceeded a limit.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    _running.add(process)
    kept: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        end_group(process)

    try:
        with Watchdog(process, limits, end_group, folders) as watchdog:
            feed = guarded(_feed, failed)
            threading.Thread(target=feed, args=(process.stdin, input), daemon=True).start()
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
    if failures:
        raise failures[0]
    stdout, stderr = b"".join(kept["stdout"]), b"".join(kept["stderr"])
    if watchdog.exceeded:
        detail = stderr[-DETAIL:].decode(errors="replace")
        raise _exceeded(what or Path(argv[0]).name, watchdog.exceeded, watchdog, limits, detail)
    return subprocess.CompletedProcess(argv, code, stdout, stderr)


def _feed(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _keep(process: subprocess.Popen[bytes], kept: dict[str, list[bytes]], limits: Limits, watchdog: Watchdog) -> None:
    """Read both streams of a program until their end, or until it has printed too much."""
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


def without_colours(line: str) -> str:
    """Return a line without its colour sequences (ECMA-48, SGR)."""
    return SGR.sub("", line)


def _terminal() -> tuple[int, int]:
    """Open a pseudo-terminal in raw mode; return this process's end and the program's."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return ours, theirs


def end_group(process: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End a process that leads a session of its own, with its children: SIGTERM, then SIGKILL after `grace` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def end_all() -> None:
    """End every program run by `run_logged` or `run_captured` at this time, in any thread; used on Ctrl-C."""
    for process in list(_running):
        end_group(process)
