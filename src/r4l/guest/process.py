# SPDX-License-Identifier: MIT
"""A running command in the guest, and its result."""

from __future__ import annotations

import contextlib
import signal
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r4l.errors import R4LError, UsageError
from r4l.guest.channel import Outflow, agent_error, unpack
from r4l.guest.delivery import Delivery
from r4l.guest.errors import CommandFailed, ProtocolError
from r4l.guest.frames import MAX_PAYLOAD, OUTPUT_WINDOW, Reply, Request, counted
from r4l.guest.link import Link
from r4l.guest.output import LIMIT, Callback, Sink
from r4l.threads import thread_failure

FLAG_PTY = 1
FLAG_STDIN = 2
FLAG_WINDOW = 4
KILL_PATIENCE = 3.0
"""Seconds that a killed command has to end before it counts as hanging."""
REST = 4 << 20
"""Bytes that may be in a command's pipes when it ends, and come without regard to the window."""
DELIVERY = 0.5
"""Seconds in which callbacks should have taken the last output of a command that was killed."""


@dataclass(frozen=True)
class Completed:
    """Result of a command.

    Attributes:
        command: the command as given.
        exit_code: as a shell reports it: 128 + the signal's number for a command ended by a signal.
        stdout_bytes, stderr_bytes: its output, up to the limit of the run.
        dropped: bytes beyond the limit, both streams together.
        duration: seconds by the guest's clock.
        signal: the signal that ended it, or None.
    """

    command: str | tuple[str, ...]
    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    duration: float
    signal: int | None = None
    dropped: int = 0

    @property
    def stdout(self) -> str:
        """Standard output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error as text; bytes that are not UTF-8 become U+FFFD."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def title(self) -> str:
        """The command in at most 100 characters, for messages."""
        text = self.command if isinstance(self.command, str) else subprocess.list2cmdline(self.command)
        return text if len(text) <= 100 else text[:97] + "..."

    def checked(self) -> Completed:
        """Return the result itself.

        Raises:
            CommandFailed: the exit code is not 0.
        """
        if self.exit_code != 0:
            raise CommandFailed(
                f"{self.title!r} ended with exit code {self.exit_code} in the guest",
                detail=(self.stderr or self.stdout)[-4000:],
            )
        return self

    @property
    def ok(self) -> bool:
        """True if the exit code is 0."""
        return self.exit_code == 0


@dataclass(frozen=True)
class Terminal:
    """Size of a pseudo-terminal."""

    rows: int = 24
    columns: int = 80


class GuestProcess(Outflow):
    """A running command, made by `Guest.popen`. As a context manager it kills the command on exit.

    Attributes:
        ended: True once the command has ended, or could not be started; its last output may still be on its way to the
            callbacks.
        result: its result, when all its output was passed on.
    """

    def __init__(
        self,
        link: Link,
        command: str | Sequence[str],
        *,
        stdin: bool = False,
        terminal: Terminal | None = None,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        on_stdout: Callback | None = None,
        on_stderr: Callback | None = None,
        limit: int = LIMIT,
    ) -> None:
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        watched = on_stdout is not None or on_stderr is not None
        request = encode_exec(argv, stdin=stdin, terminal=terminal, window=watched, cwd=cwd, env=env or {})
        self.command: str | tuple[str, ...] = command if isinstance(command, str) else tuple(command)
        self.stdout = Sink(on_stdout, limit)
        self.stderr = Sink(on_stderr, limit)
        self.pid: int | None = None
        self.begun = time.monotonic()
        self.result: Completed | None = None
        self.ended = False
        self._status = (0, 0, 0)
        self._delivery = Delivery(self._passed_on, self._complete, self._undelivered) if watched else None
        super().__init__(link)
        self.send(Request.EXEC, request)

    def on_frame(self, frame_type: Reply, payload: bytes) -> None:
        """Handle a frame (see `Channel`)."""
        match frame_type:
            case Reply.STDOUT:
                self._take(self.stdout, payload)
            case Reply.STDERR:
                self._take(self.stderr, payload)
            case Reply.STARTED:
                (self.pid,) = unpack("<I", payload)
            case Reply.CREDIT:
                self.take_credit(payload)
            case Reply.EXIT:
                self._end(payload)
            case Reply.ERROR:
                self.ended = True
                self.failure = agent_error(payload, self.title)
                self.finish()
            case _:
                raise ProtocolError(f"{frame_type.name} for a command")

    def _take(self, sink: Sink, payload: bytes) -> None:
        if self._delivery is None:
            sink.write(payload)
            return
        if self._delivery.backlog > OUTPUT_WINDOW + REST:
            raise ProtocolError("more output of a command than its window allows")
        self._delivery.put(sink, payload)

    def _passed_on(self, count: int) -> None:
        """Have the agent send as much more, and a callback's exception raised in the waiting thread."""
        with self.link.changed:
            self.link.changed.notify_all()
        if not self.ended and self.link.connected:
            with contextlib.suppress(R4LError):
                self.send(Request.TAKEN, struct.pack("<I", count))

    def _undelivered(self, error: BaseException) -> None:
        self.fail(thread_failure("taking the guest's answer", error))

    def trouble(self) -> Exception | None:
        """Return the error to raise in the waiting thread, including exceptions of callbacks (see `Channel`)."""
        return self.failure or self.stdout.take_failure() or self.stderr.take_failure()

    def cut(self, error: R4LError) -> None:
        """Note that no more frames come (see `Channel`)."""
        super().cut(error)
        if self._delivery:
            self._delivery.end()

    def _end(self, payload: bytes) -> None:
        how, number, microseconds = unpack("<BiQ", payload)
        self._status = (how, number, microseconds)
        self.ended = True
        # What ends the connection now is no failure of this command.
        self.link.forget(self)
        if self._delivery:
            self.link.changed.notify_all()
            self._delivery.end()
        else:
            self._complete()

    def _complete(self) -> None:
        """Make the result, once all output was passed on."""
        with self.link.changed:
            if self.failure is not None:
                return
            how, number, microseconds = self._status
            self.result = Completed(
                self.command,
                128 + number if how else number & 0xFF,
                self.stdout.value(),
                self.stderr.value(),
                microseconds / 1e6,
                number if how else None,
                self.stdout.dropped + self.stderr.dropped,
            )
            self.stdout.close()
            self.stderr.close()
            self.finish()

    @property
    def deaf(self) -> bool:
        """True once the command takes no more input."""
        return self.ended

    def write(self, data: bytes, timeout: float = 30.0) -> None:
        """Send standard input; the command must have been started with `stdin` or a terminal.

        Blocks while the command does not read.

        Raises:
            GuestTimeout: the command read nothing for `timeout` seconds.
        """
        self.send_data(Request.STDIN, data, timeout, f"the command took no input: {self._title()}")

    def close_stdin(self) -> None:
        """Close standard input."""
        self.send(Request.STDIN)

    def signal(self, number: int = signal.SIGTERM, *, everything: bool = False) -> None:
        """Send a signal to the command's process group, or with `everything` to its whole session."""
        self.send(Request.SIGNAL, struct.pack("<IB", number, everything))

    def resize(self, terminal: Terminal) -> None:
        """Tell the command's terminal its new size."""
        self.send(Request.RESIZE, struct.pack("<HH", terminal.rows, terminal.columns))

    def poll(self) -> Completed | None:
        """Return the result if the command has ended, else None."""
        return self.result

    def wait_done(self, timeout: float | None = None) -> Completed | None:
        """Wait for the end; return None if it has not come within `timeout` seconds."""
        return self.result if self.wait(None if timeout is None else time.monotonic() + timeout) else None

    def kill(self) -> Completed | None:
        """Kill the command with its whole session.

        Return its result; None if it does not end within `KILL_PATIENCE` seconds, or a callback does not take its
        output.
        """
        if self.ended:
            return self.result
        if self.failure is not None:
            # Nobody waits for it any more, because of an oops or of its input; its end will not be told.
            if self.link.connected:
                with contextlib.suppress(R4LError):
                    self.send(Request.SIGNAL, struct.pack("<IB", signal.SIGKILL, True), KILL_PATIENCE)
            return None
        self.signal(signal.SIGKILL, everything=True)
        with self.link.changed:
            self.link.changed.wait_for(lambda: self.ended or self.failure is not None, KILL_PATIENCE)
        return self.wait_done(DELIVERY) if self.ended else None

    def _title(self) -> str:
        text = self.command if isinstance(self.command, str) else subprocess.list2cmdline(self.command)
        return text if len(text) <= 100 else text[:97] + "..."

    @property
    def title(self) -> str:
        """The command in at most 100 characters, for messages."""
        return self._title()

    def __enter__(self) -> GuestProcess:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.link.failure is None:
            self.kill()
        self.link.forget(self)


def encode_exec(
    argv: Sequence[str],
    *,
    stdin: bool,
    terminal: Terminal | None,
    cwd: str,
    env: Mapping[str, str],
    window: bool = False,
) -> bytes:
    """Encode the payload of an EXEC request.

    Args:
        window: TAKEN will be sent for its output.

    Raises:
        UsageError: the command is empty, contains a zero byte, or is too long for a frame.
    """
    flags = (FLAG_PTY if terminal else 0) | (FLAG_STDIN if stdin or terminal else 0) | (FLAG_WINDOW if window else 0)
    size = terminal or Terminal(0, 0)
    pieces = [struct.pack("<BHH", flags, size.rows, size.columns), counted(cwd.encode("utf-8", "surrogateescape"))]
    for strings in (list(argv), [f"{name}={value}" for name, value in env.items()]):
        pieces.append(struct.pack("<H", len(strings)))
        pieces += [counted(text.encode("utf-8", "surrogateescape")) for text in strings]
    payload = b"".join(pieces)
    if not argv or any("\0" in text for text in (*argv, cwd, *env, *env.values())):
        raise UsageError("a command for the guest must not be empty or contain a zero byte")
    if len(payload) > MAX_PAYLOAD:
        raise UsageError(
            f"a command of {len(payload)} bytes is too long for the guest's agent", "put it into a file (vm.put)"
        )
    return payload
