# SPDX-License-Identifier: MIT
"""Access to the guest of a kept machine, for commands and shells, through its keeper."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from r4l import kept
from r4l.errors import EnvironmentFault, GuestTimeout, R4LError
from r4l.guest.output import Callback
from r4l.guest.process import Terminal
from r4l.kept.frames import DONE, EARLIER, END_OF_INPUT, ERRORS, INPUT, OUTPUT, REQUEST, SIZE, FrameSocket
from r4l.threads import guarded, thread_failure

STOP_PATIENCE = 20.0
"""Seconds in which a keeper must end after a request; then it is killed."""
PIECE = 1 << 16
OUTPUT_PATIENCE = 30.0
"""Seconds in which the keeper's answer to a time-out must come."""
ANSWER = 5.0
"""Seconds in which a keeper must answer a question that needs no guest."""


class Told(R4LError):
    """An error that a keeper reported."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        super().__init__(said["cause"], said["remedy"], detail=said["detail"], known=said["known"] or "")
        self.category, self.exit_code = said["error"], said["exit_code"]


@dataclass(frozen=True)
class Ended:
    """The end of a command.

    Attributes:
        exit_code: exit code of the command.
        complaint: first complaint of the kernel meanwhile, if any.
        causes: sentences of all complaints meanwhile.
    """

    exit_code: int
    complaint: Told | None = None
    causes: tuple[str, ...] = ()


class RemoteProcess:
    """A command in the guest of a kept machine. As a context manager it is killed on exit.

    Args:
        earlier: receives the sentences of complaints before the command, which nobody was told of.

    Attributes:
        failure: reason why no exit code will come.
    """

    def __init__(
        self,
        machine: kept.Kept,
        request: dict[str, Any],
        on_stdout: Callback | None,
        on_stderr: Callback | None,
        earlier: list[str],
    ) -> None:
        self._earlier = earlier
        self.failure: R4LError | None = None
        self._result: Ended | None = None
        self._over = threading.Event()
        self._connection = FrameSocket(kept.connect(machine))
        self._to = {OUTPUT: on_stdout, ERRORS: on_stderr}
        self._trouble: BaseException | None = None
        self._connection.send_json(REQUEST, request)
        threading.Thread(target=guarded(self._read, self._fail), name="r4l-kept-reader", daemon=True).start()

    def _read(self) -> None:
        while frame := self._connection.receive():
            frame_type, payload = frame
            if frame_type == DONE:
                self._end(payload)
                break
            if frame_type == EARLIER:
                self._earlier += json.loads(payload)["complaints"]
            if show := self._to.get(frame_type):
                show(payload)
        else:
            self.failure = EnvironmentFault("the machine's keeper has ended", "see `r4l ps`")
        # Not after an exception: `_fail` has to tell of it first.
        self._over.set()

    def _fail(self, error: BaseException) -> None:
        """Have the wait for the end fail: the reader of the output is gone, or no sense can be made of the answer."""
        self._trouble = error
        self._over.set()

    def _end(self, payload: bytes) -> None:
        said = json.loads(payload)
        error = Told(said["error"]) if said["error"] else None
        if said["exit_code"] is None:
            self.failure = error
        else:
            self._result = Ended(said["exit_code"], error, tuple(said.get("complaints", ())))

    def write(self, data: bytes) -> None:
        """Send standard input."""
        with contextlib.suppress(OSError):
            self._connection.send(INPUT, data)

    def close_stdin(self) -> None:
        """Close standard input."""
        with contextlib.suppress(OSError):
            self._connection.send(END_OF_INPUT)

    def resize(self, terminal: Terminal) -> None:
        """Tell the command's terminal its new size."""
        with contextlib.suppress(OSError):
            self._connection.send_json(SIZE, [terminal.rows, terminal.columns])

    def poll(self) -> Ended | None:
        """Return the end, if it has come."""
        return self._result

    def wait_done(self, timeout: float | None = None) -> Ended | None:
        """Wait for the end; return None if it has not come within `timeout` seconds.

        Raises:
            R4LError: the end will not come.
            OSError: the command's output cannot be shown.
        """
        self._over.wait(timeout)
        if isinstance(self._trouble, OSError):
            raise self._trouble
        if self._trouble:
            raise thread_failure("reading the keeper's answer", self._trouble)
        if self.failure:
            raise self.failure
        return self._result

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()


@dataclass(frozen=True)
class RemoteGuest:
    """The guest of a kept machine.

    Attributes:
        machine: the machine.
        earlier: sentences of complaints that came while no command ran, and that nobody was told of before; known at
            the end of a command.
    """

    machine: kept.Kept
    earlier: list[str] = field(default_factory=list)

    def popen(
        self,
        command: str | Sequence[str],
        *,
        stdin: bool = False,
        terminal: Terminal | None = None,
        env: Mapping[str, str] | None = None,
        on_stdout: Callback | None = None,
        on_stderr: Callback | None = None,
        limit: int = 0,
        timeout: float | None = None,
    ) -> RemoteProcess:
        """Start a command like `Guest.popen`, with the seconds after which it is killed. No output is kept."""
        request = {
            "do": "exec",
            "command": command if isinstance(command, str) else list(command),
            "stdin": stdin,
            "terminal": [terminal.rows, terminal.columns] if terminal else None,
            "env": dict(env or {}),
            "timeout": timeout,
        }
        return RemoteProcess(self.machine, request, on_stdout, on_stderr, self.earlier)

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None,
        input: IO[bytes] | None,  # noqa: A002 (subprocess's own name)
        on_stdout: Callback,
        on_stderr: Callback,
    ) -> Ended:
        """Run a command to its end.

        Raises:
            R4LError: the command did not end, or could not be started.
        """
        with self.popen(
            command, stdin=input is not None, on_stdout=on_stdout, on_stderr=on_stderr, timeout=timeout
        ) as process:
            if input is not None:
                feed = guarded(_feed, process._fail)
                threading.Thread(target=feed, args=(process, input), daemon=True).start()
            # The keeper's own time-out comes first, unless nobody reads the output before it.
            done = process.wait_done(None if timeout is None else timeout + OUTPUT_PATIENCE)
        if done is None:
            raise GuestTimeout(
                f"nobody has read the command's output within {timeout:g} s", "read it, or give more time"
            )
        return done


def _feed(process: RemoteProcess, source: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        while process.poll() is None and (data := os.read(source.fileno(), PIECE)):
            process.write(data)
    process.close_stdin()


def untold(machine: kept.Kept) -> list[str]:
    """Return the sentences of complaints that came while no command ran, once; none if the keeper does not answer.

    Raises:
        UsageError: the machine is gone.
    """
    sock = kept.connect(machine)
    sock.settimeout(ANSWER)
    connection = FrameSocket(sock)
    try:
        connection.send_json(REQUEST, {"do": "tell"})
        answer = connection.receive_json() or {}
    except OSError:
        return []
    finally:
        connection.close()
    return list(answer.get("complaints", ()))


@dataclass(frozen=True)
class Stopped:
    """The end of a machine that was stopped.

    Attributes:
        gently: False if its keeper had to be killed.
        complaints: sentences of all that nobody was told of before.
        exit_code: exit code of a command that tells these; 0 if there are none.
        log: file with the console, which stays if there are complaints.
    """

    gently: bool
    complaints: tuple[str, ...] = ()
    exit_code: int = 0
    log: str = ""


def stop(machine: kept.Kept) -> Stopped:
    """End a machine."""
    connection = FrameSocket(kept.connect(machine))
    # Not the recorded id: it may be another process's by now.
    keeper = _descriptor(connection.peer)
    connection.send_json(REQUEST, {"do": "stop"})
    answer: dict[str, Any] = {}
    ended = threading.Event()
    failures: list[BaseException] = []

    def wait() -> None:
        answer.update(connection.receive_json() or {})
        # The connection ends with the keeper.
        connection.receive()
        ended.set()

    def failed(error: BaseException) -> None:
        failures.append(error)
        ended.set()

    threading.Thread(target=guarded(wait, failed), daemon=True).start()
    # A keeper whose answer cannot be read is killed, too.
    gently = ended.wait(STOP_PATIENCE) and not failures
    if gently:
        connection.close()
    else:
        _kill(keeper, connection.peer)
    if keeper is not None:
        select.select([keeper], [], [], STOP_PATIENCE)
        os.close(keeper)
    _wait_gone(machine)
    return Stopped(gently, tuple(answer.get("complaints", ())), answer.get("exit_code", 0), answer.get("log", ""))


def _descriptor(pid: int) -> int | None:
    """Return a descriptor of a process, readable at its end (pidfd_open(2)); None if it has ended."""
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _kill(process: int | None, pid: int) -> None:
    """Kill a process, by its descriptor where the kernel has those."""
    with contextlib.suppress(ProcessLookupError):
        if process is not None:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        elif pid:
            os.kill(pid, signal.SIGKILL)


def _wait_gone(machine: kept.Kept) -> None:
    """Wait until a machine is not listed any more: by the clock, for kernels that have no pidfd_open(2)."""
    until = time.monotonic() + STOP_PATIENCE
    while time.monotonic() < until and machine.name in [one.name for one in kept.running()]:
        time.sleep(0.05)
