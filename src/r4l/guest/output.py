# SPDX-License-Identifier: MIT
"""What a guest's command writes, kept in bounded memory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable

Callback = Callable[[bytes], None]
"""Gets each piece of output as it comes, on the thread that reads the channel; it must be quick. What it raises is
raised where the command is waited for, and it is not called again."""

IN_MEMORY = 1 << 20
"""Bytes of one stream held in memory; what is more goes to an unnamed temporary file."""
TAIL = 2000
"""Bytes at the end of a stream that are still known when the rest was given back."""
LIMIT = 64 << 20
"""Bytes of one stream kept at all, unless the caller says otherwise; of what is more, only the count."""


class Sink:
    """One stream of output: kept up to a limit, spilled to disk, counted to the end.

    The reading thread writes to it while others look at what is there.
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
        """Take in a piece."""
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
        """Whether the callback raised something that nobody was told of yet."""
        return self._failure is not None

    def take_failure(self) -> Exception | None:
        """What the callback raised; told once."""
        failure, self._failure = self._failure, None
        return failure

    def value(self) -> bytes:
        """All that was kept; to be asked for before `close`."""
        with self._lock:
            return self._from(0)

    def tail(self, size: int = TAIL) -> bytes:
        """The last `size` bytes kept; after `close`, at most `TAIL` of them."""
        with self._lock:
            return self._end[-size:] if self._file.closed else self._from(max(0, self.kept - size))

    def _from(self, place: int) -> bytes:
        self._file.seek(place)
        data = self._file.read()
        self._file.seek(0, 2)
        return data

    def close(self) -> None:
        """Give the memory or the file back."""
        with self._lock:
            self._end = self._from(max(0, self.kept - TAIL))
            self._file.close()
