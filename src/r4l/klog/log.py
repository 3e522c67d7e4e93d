# SPDX-License-Identifier: MIT
"""The kernel log of a running VM; it grows while it is read."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from r4l.errors import GuestTimeout, R4LError
from r4l.klog import lost
from r4l.klog.complaints import Complaints
from r4l.klog.cutter import SplatCutter
from r4l.klog.records import Record, parse_line
from r4l.klog.source import Sources
from r4l.klog.splat import Splat

SYNC = "r4l-sync "
KEPT = 100_000
"""Records kept in memory. Older records of a guest that logs more remain in the console's file only."""
CHARACTERS_KEPT = 16 << 20
"""Characters of text kept in memory, since records may be long."""
SETTLE = 0.3
"""Seconds without a further line after which an open splat is taken to be complete."""


class KernelLog:
    """Records and splats, in order of arrival.

    Args:
        file: file with the whole console, named in messages.
        sync: callback that makes the guest log a line, which flushes everything before it; returns False if no guest
            answers.
        sources: source lines of loaded modules; with them, complaints name the line.
    """

    def __init__(
        self,
        file: Path | None = None,
        sync: Callable[[str], bool] | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.file = file
        self._sources = sources
        self._sync = sync
        self._changed = threading.Condition()
        self._records: deque[Record] = deque()
        self._size = 0
        self._total = 0
        self._complaints = Complaints(file)
        self._dropped = 0
        self._cutter = SplatCutter(file)
        self._last = time.monotonic()
        self._marks: dict[str, bool] = {}
        """Sync lines that threads wait for; True once a line has arrived."""

    def feed(self, line: str) -> list[Record]:
        """Add a line of console text; return the records in it."""
        fresh: list[Record] = []
        with self._changed:
            self._last = time.monotonic()
            for record in parse_line(line):
                if record.text.startswith(SYNC):
                    if record.text in self._marks:
                        self._marks[record.text] = True
                    continue
                fresh.append(record)
                self._remember(record)
                self._complaints.add(self._cutter.feed(record))
                if count := lost.dropped(record):
                    self._dropped += count
                    self._complaints.add([lost.by_kernel(count, record, self.file)])
            self._changed.notify_all()
        return fresh

    def _remember(self, record: Record) -> None:
        """Keep a record, and drop the oldest beyond the limits on memory."""
        self._records.append(record)
        self._total += 1
        self._size += len(record.text)
        while len(self._records) > KEPT or self._size > CHARACTERS_KEPT:
            self._size -= len(self._records.popleft().text)

    def finish(self) -> None:
        """End the log: close all open splats."""
        with self._changed:
            self._complaints.add(self._cutter.flush())
            self._changed.notify_all()

    def mark(self) -> int:
        """Return the current position, for `since`."""
        with self._changed:
            return self._total

    def records(self, since: int = 0) -> list[Record]:
        """Return the records from a position on, as far as they have arrived; `sync` waits for the latest."""
        with self._changed:
            skip = max(0, since - (self._total - len(self._records)))
            return list(self._records)[skip:]

    def text(self, since: int = 0) -> str:
        """Return the texts of the records from a position on, one per line, as far as they have arrived; `sync` waits
        for the latest."""
        return "\n".join(record.text for record in self.records(since))

    def splats(self, since: int = 0, *, settle: bool = False) -> list[Splat]:
        """Return the kernel's complaints from number `since` on, without those that are allowed.

        A part of the log that is lost (`lost.LogLost`) counts as a complaint, and comes after all others.

        Complaints returned here count as reported: the VM does not raise them again when it ends.

        Args:
            settle: include complaints whose lines may still be coming.
        """
        found = self.complaints(since, settle=settle)
        for splat in found:
            splat.told = True
        return found

    def untold(self) -> Splat | None:
        """Return the first complaint that was neither raised nor returned by `splats`.

        None if a fatal complaint was reported before: later ones follow from it.
        """
        for splat in self.complaints(settle=True):
            if not splat.told:
                return splat
            if splat.fatal:
                return None
        return None

    def complaints(self, since: int = 0, *, settle: bool = False) -> list[Splat]:
        """Return complaints like `splats`, without marking them as reported."""
        with self._changed:
            if self._cutter.open and (settle or time.monotonic() - self._last > SETTLE):
                self._complaints.add(self._cutter.flush())
            found = self._complaints.since(since)
        if self._sources:
            # Sources are not looked up while cutting: the console's reader would wait for it.
            for splat in found:
                splat.locate(self._sources)
        return found

    @property
    def lost(self) -> int:
        """Number of records dropped from memory because the guest logged more than is kept."""
        with self._changed:
            return self._total - len(self._records)

    @property
    def dropped(self) -> int:
        """Number of messages that the kernel dropped because its console was too slow for them."""
        with self._changed:
            return self._dropped

    @property
    def splat_count(self) -> int:
        """Number of complaints so far, including allowed ones."""
        with self._changed:
            return self._complaints.count

    @property
    def begun(self) -> tuple[str, str] | None:
        """Kind and headline of a splat whose lines are still coming, or None."""
        with self._changed:
            return self._cutter.headline

    @property
    def dying(self) -> bool:
        """True if a splat whose lines are still coming shows that the kernel killed a task or panicked."""
        with self._changed:
            return self._cutter.dying

    def allow(self, pattern: str, *, reason: str = "") -> None:
        """Allow complaints whose headline matches a regular expression: `check` no longer raises them.

        Args:
            reason: why they are no failure, shown in the test's report.
        """
        with self._changed:
            self._complaints.allow(pattern, reason)

    def allowances(self) -> list[str]:
        """Describe the allowed complaints, one line each: whether it came, its headline, the reason."""
        self.complaints()
        with self._changed:
            return self._complaints.allowances()

    def sync(self, timeout: float = 5.0) -> None:
        """Wait until everything that the guest has logged so far has arrived.

        Raises:
            GuestTimeout: the guest does not answer, or its console is stuck for `timeout` seconds.
        """
        if self._sync is None:
            return
        mark = f"{SYNC}{time.monotonic_ns():x}-{threading.get_ident():x}"
        with self._changed:
            self._marks[mark] = False
        try:
            if not self._sync(mark):
                return
            until = time.monotonic() + timeout
            with self._changed:
                while not self._marks[mark]:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise GuestTimeout(
                            f"the console did not follow the kernel log within {timeout:g} s", log=self.file
                        )
                    self._changed.wait(left)
        finally:
            with self._changed:
                del self._marks[mark]

    def check(self) -> None:
        """Raise the first complaint of the kernel that is not allowed.

        Raises:
            Splat: the complaint.
            R4LError: the guest no longer answers, so later complaints may be missing.
        """
        trouble: R4LError | None = None
        try:
            self.sync()
        except R4LError as error:
            trouble = error
        # After the sync no line is missing, so an open splat is complete.
        for splat in self.splats(settle=True):
            raise splat from trouble
        if trouble:
            raise trouble

    def wait_for(self, pattern: str, timeout: float = 10.0, since: int = 0) -> Record:
        """Wait for a record that matches a regular expression, and return it.

        Raises:
            GuestTimeout: no record matched within `timeout` seconds.
        """
        wanted = re.compile(pattern)
        until = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = self._total
            for record in self.records(since):
                if wanted.search(record.text):
                    return record
            since = max(since, seen)
            with self._changed:
                while self._total == seen:
                    left = until - time.monotonic()
                    if left <= 0:
                        raise GuestTimeout(
                            f"the guest did not log {pattern!r} within {timeout:g} s", detail=self.tail(), log=self.file
                        )
                    self._changed.wait(left)

    def tail(self, count: int = 20) -> str:
        """Return the last `count` records as text, for messages."""
        return "\n".join(map(str, self.records()[-count:]))

    @classmethod
    def of(cls, lines: Iterable[str]) -> KernelLog:
        """Parse console text into a finished log."""
        log = cls()
        for line in lines:
            log.feed(line)
        log.finish()
        return log
