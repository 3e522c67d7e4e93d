# SPDX-License-Identifier: MIT
"""The guest's console: all output goes to a file, and line by line to a callback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from r4l.klog.records import LineSplitter
from r4l.threads import Failed, guarded

TAIL = 1 << 16
LOG_LIMIT = 64 << 20
"""Bytes of console kept in the file. Further output is dropped, so that a guest cannot fill the disk."""
CUT = "\n[r4l: the guest wrote more than {} MiB to its console; the rest is not kept]\n"
"""Text at the end of a file that was cut."""


class SerialConsole:
    """The host's end of the guest's serial console.

    Args:
        sock: connected to QEMU; this object takes it over.
        log: file for all bytes.
        on_line: called on the reading thread with each line, without its end.
        on_end: called when QEMU has closed the console.
        failed: called with an exception that ends the reading, such as a full disk's; the rest is lost then.
    """

    def __init__(
        self,
        sock: socket.socket,
        log: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[], None],
        failed: Failed,
    ) -> None:
        self._sock = sock
        self._log = log
        self._on_line = on_line
        self._on_end = on_end
        self._lines = LineSplitter()
        self._tail = b""
        self.received = 0
        self.last_output = time.monotonic()
        self._thread = threading.Thread(target=guarded(self._read, failed), name="r4l-console", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._log.open("ab", buffering=0) as log:
                while True:
                    try:
                        data = self._sock.recv(65536)
                    except OSError:
                        data = b""
                    if not data:
                        break
                    if self.received < LOG_LIMIT:
                        log.write(data)
                        if self.received + len(data) >= LOG_LIMIT:
                            log.write(CUT.format(LOG_LIMIT >> 20).encode())
                    self.received += len(data)
                    self.last_output = time.monotonic()
                    self._tail = (self._tail + data)[-TAIL:]
                    for line in self._lines.feed(data):
                        self._on_line(line)
                if self._lines.rest:
                    self._on_line(self._lines.rest)
        finally:
            self._on_end()

    @property
    def unfinished(self) -> str:
        """Last line without an end, such as a prompt."""
        return self._lines.rest

    def tail(self, lines: int = 25) -> str:
        """Return the last lines, for messages."""
        return "\n".join(self._tail.decode("utf-8", "replace").replace("\r", "").splitlines()[-lines:])

    def write(self, data: bytes) -> None:
        """Send input to the console."""
        self._sock.sendall(data)

    def join(self, timeout: float) -> None:
        """Wait until all of QEMU's output has been read. QEMU must have ended."""
        self._thread.join(timeout)

    def close(self) -> None:
        """Close the console."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(2)
        self._sock.close()
