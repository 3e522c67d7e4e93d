# SPDX-License-Identifier: MIT
"""Commands, files and exit codes inside a guest."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import IO

from r4l.errors import GuestTimeout, R4LError, UsageError
from r4l.guest import transfer
from r4l.guest.channel import Query
from r4l.guest.errors import GuestError
from r4l.guest.frames import STDIN_WINDOW, Request
from r4l.guest.link import Link
from r4l.guest.output import LIMIT, Callback
from r4l.guest.process import Completed, GuestProcess, Terminal
from r4l.threads import guarded, thread_failure

TRANSFER_STALL = 30.0
FILE_LIMIT = 4 << 30
INPUT_PIECE = 1 << 16
LEAST = 0.1
"""Seconds between two looks at a clock that stands."""


def _nothing() -> str:
    return ""


class Guest:
    """The guest, controlled through its agent.

    Args:
        link: an established connection.
        context: returns further facts about the guest (the end of its console) for messages.
    """

    def __init__(self, link: Link, context: Callable[[], str] = _nothing) -> None:
        self.link = link
        self._context = context

    def popen(
        self,
        command: str | Sequence[str],
        *,
        stdin: bool = False,
        terminal: Terminal | None = None,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        on_stdout: Callback | None = None,
        on_stderr: Callback | None = None,
        limit: int = LIMIT,
    ) -> GuestProcess:
        """Start a command and return at once.

        Args:
            command: a line for `/bin/sh -c`, or a program with its arguments.
            stdin: True to use `write`; otherwise standard input is /dev/null.
            terminal: run the command on a pseudo-terminal of this size; all its output is then in stdout.
            cwd: working directory in the guest.
            env: variables added to the agent's environment.
            on_stdout: called with each piece of standard output as it arrives.
            on_stderr: the same for standard error.
            limit: bytes kept of each stream.
        """
        return GuestProcess(
            self.link,
            command,
            stdin=stdin,
            terminal=terminal,
            cwd=cwd,
            env=env,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            limit=limit,
        )

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = 60.0,
        check: bool = False,
        input: bytes | str | IO[bytes] | None = None,  # noqa: A002 (subprocess's own name)
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        on_stdout: Callback | None = None,
        on_stderr: Callback | None = None,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> Completed:
        """Run a command to its end and return its result.

        Args:
            timeout: seconds after which the command and its whole session are killed; None for no limit.
            clock: of these seconds; one that stands at times gives the command more time.
            check: raise an error for an exit code other than 0.
            input: standard input; text is sent as UTF-8, an open file (such as a pipe) as data arrive.

        Raises:
            GuestTimeout: the command did not end in time; the message says whether the guest still answers.
            CommandFailed: `check` is set and the exit code was not 0.
            GuestError: the program does not exist.
            Splat: the kernel crashed during the command.
            GuestGone: QEMU ended during the command.
        """
        with self.popen(
            command,
            stdin=input is not None,
            cwd=cwd,
            env=env,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            limit=limit,
        ) as process:
            data = input.encode() if isinstance(input, str) else input
            if isinstance(data, bytes) and len(data) <= STDIN_WINDOW:
                process.write(data)
                process.close_stdin()
            elif data is not None:
                # Input may arrive late or never, and the command may end before or not take it: feed it from a thread.
                feed = guarded(_feed, lambda error: process.fail(thread_failure("reading the command's input", error)))
                threading.Thread(target=feed, args=(process, data), daemon=True).start()
            begun = clock()
            # The command may have ended just after the wait.
            done = process.wait_done(timeout) or process.poll()
            while done is None and timeout is not None and (left := begun + timeout - clock()) > 0:
                done = process.wait_done(max(left, LEAST)) or process.poll()
            if done is None:
                raise self._timed_out(process, timeout)
        return done.checked() if check else done

    def _timed_out(self, process: GuestProcess, timeout: float | None) -> GuestTimeout:
        said = (process.stdout.tail() + process.stderr.tail()).decode("utf-8", "replace")
        # Distinguish a command that cannot be killed from a guest that does not answer at all.
        killed = process.kill() is not None
        if process.ended and not killed:
            state = "it was killed; nobody on this side takes its output"
        elif killed:
            state = "it was killed, and the guest still answers"
        elif self.alive():
            state = "it cannot be killed (it hangs in the kernel), but the guest's agent answers"
        else:
            state = "the guest no longer answers at all"
        detail = "\n".join(
            part
            for part in (
                f"last output of the command:\n{said}" if said else "the command has written nothing",
                self._context(),
            )
            if part
        )
        return GuestTimeout(
            f"{process.title!r} did not end within {timeout:g} s in the guest; {state}",
            "allow more time (timeout=, on the command line --timeout), or read the console for the cause",
            detail=detail,
        )

    def ping(self, timeout: float = 2.0) -> float:
        """Send a ping to the agent; return the seconds until its answer.

        Raises:
            GuestTimeout: no answer came within `timeout` seconds.
        """
        begun = time.monotonic()
        self._ask(Request.PING, b"ping", timeout)
        return time.monotonic() - begun

    def alive(self, timeout: float = 2.0) -> bool:
        """True if the agent answers within `timeout` seconds."""
        try:
            self.ping(timeout)
        except (GuestTimeout, GuestError):
            return False
        return True

    def mark(self, text: str, timeout: float = 5.0) -> None:
        """Write a line to the guest's kernel log."""
        # Without a newline the kernel keeps the record open for a continuation, and does not print it.
        self._ask(Request.MARK, text.encode() + b"\n", timeout)

    def wake(self, timeout: float = 5.0) -> None:
        """Give a guest that went on from a saved state the present time, and random numbers of its own.

        Raises:
            GuestError: the guest's kernel refuses.
            GuestTimeout: the agent did not answer within `timeout` seconds.
        """
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        self._ask(Request.WAKE, struct.pack("<QI", seconds, nanoseconds) + token_bytes(32), timeout)

    def _ask(self, frame_type: Request, payload: bytes, timeout: float) -> bytes:
        query = Query(self.link)
        try:
            query.send(frame_type, payload, timeout)
            if not query.wait(time.monotonic() + timeout):
                raise GuestTimeout(f"the guest's agent did not answer within {timeout:g} s", detail=self._context())
        finally:
            self.link.forget(query)
        return query.answer

    def put(self, source: Path | str | bytes, target: str, mode: int | None = None, *, timeout: float = 60.0) -> None:
        """Send a file to the guest. Parent folders are created; the file gets its name when it is complete.

        Args:
            source: a file on the host, or the bytes themselves.
            target: path in the guest.
            mode: permission bits; default are those of the source, or 0644 for bytes.

        Raises:
            GuestError: the guest cannot write the file.
            GuestTimeout: the guest took no data for 30 s, or did not finish within `timeout` seconds after the last
                piece.
        """
        with contextlib.ExitStack() as stack:
            if isinstance(source, bytes):
                stream: io.BufferedIOBase = io.BytesIO(source)
            else:
                stream = stack.enter_context(Path(source).open("rb"))
                mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode) if mode is None else mode
            conversation = transfer.PutTransfer(self.link, target)
            try:
                conversation.send_all(stream, 0o644 if mode is None else mode, TRANSFER_STALL)
                if not conversation.wait(time.monotonic() + timeout):
                    raise GuestTimeout(f"the guest did not finish writing {target}", detail=self._context())
            finally:
                conversation.give_up()

    def get(self, source: str, target: Path | str, *, timeout: float = 120.0, limit: int = FILE_LIMIT) -> Path:
        """Fetch a file from the guest, with its permission bits; return its path on the host.

        Raises:
            GuestError: the guest cannot read the file, or it is larger than `limit` bytes.
            GuestTimeout: the file did not arrive within `timeout` seconds.
            ProtocolError: its size is not as announced.
            UsageError: `target` is a folder.
        """
        final = Path(target)
        if final.is_dir():
            raise UsageError(f"{final} is a folder", f"name the file: {final / Path(source).name}")
        # Without the file's own name, which may have the greatest length.
        partial = final.with_name(f".r4l-{token_hex(8)}")
        try:
            with partial.open("wb") as out:
                mode = self._get(source, out, timeout, limit)
            partial.chmod(stat.S_IMODE(mode) & 0o777)
            partial.rename(final)
        finally:
            partial.unlink(missing_ok=True)
        return final

    def read(self, source: str, *, timeout: float = 30.0, limit: int = 64 << 20) -> bytes:
        """Return the content of a file in the guest; errors as for `get`."""
        out = io.BytesIO()
        self._get(source, out, timeout, limit)
        return out.getvalue()

    def _get(self, source: str, out: io.BufferedIOBase, timeout: float, limit: int) -> int:
        conversation = transfer.Get(self.link, source, out, limit)
        try:
            if not conversation.wait(time.monotonic() + timeout):
                raise GuestTimeout(f"the guest did not send {source} within {timeout:g} s", detail=self._context())
        finally:
            conversation.give_up()
        return conversation.mode


def _feed(process: GuestProcess, source: IO[bytes] | bytes) -> None:
    """Copy a file, or bytes, to a command's standard input while the command runs."""
    # Errors of the guest are raised in the thread that waits for the command. A source that cannot be read (a folder)
    # counts as end of input.
    with contextlib.suppress(R4LError):
        if isinstance(source, bytes):
            process.write(source, float("inf"))
            process.close_stdin()
            return
        with contextlib.suppress(OSError):
            while process.poll() is None and (data := os.read(source.fileno(), INPUT_PIECE)):
                process.write(data, float("inf"))
        process.close_stdin()
