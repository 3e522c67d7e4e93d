# SPDX-License-Identifier: MIT
"""Output of a guest's command, kept in bounded memory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable

Callback = Callable[[bytes], None]
"""Function called with each piece of output, on a thread of the command's own. While it blocks, the command waits as
one does whose pipe is full, and others go on.

An exception is raised again in the thread that waits for the command, and ends the calls.
"""

IN_MEMORY = 1 << 20
"""Bytes of one stream kept in memory; further bytes go to an unnamed temporary file."""
TAIL = 2000
"""Bytes at the end of a stream that stay available after `close`."""
LIMIT = 64 << 20
"""Bytes of one stream kept by default; further bytes are only counted."""


class Sink:
    """One stream of output: kept up to a limit, spilled to disk, counted to the end.

    One thread writes while others read.
    """

    def __init__(self, callback: Callback | None = None, limit: int = LIMIT) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (lives as long as the sink)
        self._callback = callback
        self._limit = limit
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._end = b""
        self.kept = 0
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Add a piece of output."""
        with self._lock:
            room = self._limit - self.kept
            if room > 0:
                self._file.write(data[:room])
                self.kept += min(room, len(data))
            self.dropped += max(0, len(data) - max(room, 0))
        if self._callback:
            try:
                self._callback(data)
            except Exception as error:  # noqa: BLE001 (it is raised again, on the thread that can do something about it)
                self._callback, self._failure = None, error

    @property
    def failed(self) -> bool:
        """True if the callback raised an exception that was not yet taken."""
        return self._failure is not None

    def take_failure(self) -> Exception | None:
        """Return the callback's exception and forget it."""
        failure, self._failure = self._failure, None
        return failure

    def value(self) -> bytes:
        """Return all output that was kept. Not available after `close`."""
        with self._lock:
            return self._from(0)

    def tail(self, size: int = TAIL) -> bytes:
        """Return the last `size` bytes kept; after `close`, at most `TAIL` of them."""
        with self._lock:
            return self._end[-size:] if self._file.closed else self._from(max(0, self.kept - size))

    def _from(self, place: int) -> bytes:
        self._file.seek(place)
        data = self._file.read()
        self._file.seek(0, 2)
        return data

    def close(self) -> None:
        """Release the memory or the file."""
        with self._lock:
            self._end = self._from(max(0, self.kept - TAIL))
            self._file.close()
