# SPDX-License-Identifier: MIT
"""The kernel log of a running VM: grows while it is looked at."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from r4l.errors import GuestTimeout, R4LError
from r4l.klog.allowed import Allowance
from r4l.klog.cutter import SplatCutter
from r4l.klog.records import Record, parse_line
from r4l.klog.source import Sources
from r4l.klog.splat import Splat

SYNC = "r4l-sync "
KEPT = 100_000
"""Records in memory; of a guest that logs more, the oldest are only in the file."""
CHARACTERS_KEPT = 16 << 20
"""The same, in characters of text: records may be long."""
SPLATS_KEPT = 1000
SETTLE = 0.3
"""Seconds without a further line after which a splat that has begun is taken to be complete."""


class KernelLog:
    """Records and splats, in order of arrival.

    Args:
        file: the whole console, for messages.
        sync: has the guest log a line, and so pushes everything before it through; False where nobody can be asked.
        sources: where the instructions of loaded modules come from; complaints then name the line.
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
        self._splats: list[Splat] = []
        self._splats_size = 0
        self._count = 0
        self._allowed: list[Allowance] = []
        self._cutter = SplatCutter(file)
        self._last = time.monotonic()
        self._marks: dict[str, bool] = {}
        """The marks that threads wait for now, each with whether it has come."""

    def feed(self, line: str) -> list[Record]:
        """Take in a line of console text; returns the records in it."""
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
                self._keep(self._cutter.feed(record))
            self._changed.notify_all()
        return fresh

    def _remember(self, record: Record) -> None:
        """Keep a record, and no more of them than memory is meant to have."""
        self._records.append(record)
        self._total += 1
        self._size += len(record.text)
        while len(self._records) > KEPT or self._size > CHARACTERS_KEPT:
            self._size -= len(self._records.popleft().text)

    def _keep(self, splats: list[Splat]) -> None:
        """A guest that complains without end must not fill our memory; the first complaints are the ones that count."""
        for splat in splats:
            self._count += 1
            size = sum(len(record.text) for record in splat.records)
            if len(self._splats) < SPLATS_KEPT and self._splats_size + size <= CHARACTERS_KEPT:
                self._splats.append(splat)
                self._splats_size += size

    def finish(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._keep(self._cutter.flush())
            self._changed.notify_all()

    def mark(self) -> int:
        """A position, for `since`."""
        with self._changed:
            return self._total

    def records(self, since: int = 0) -> list[Record]:
        """The records from a position on."""
        with self._changed:
            skip = max(0, since - (self._total - len(self._records)))
            return list(self._records)[skip:]

    def text(self, since: int = 0) -> str:
        """The records' texts from a position on, a line each."""
        return "\n".join(record.text for record in self.records(since))

    def splats(self, since: int = 0, *, settle: bool = False) -> list[Splat]:
        """The kernel's complaints so far (from number `since` on), without those that are allowed.

        Whoever has them has been told: a machine's end does not raise them again.

        Args:
            settle: take one whose lines may still be coming as it is.
        """
        found = self.complaints(since, settle=settle)
        for splat in found:
            splat.told = True
        return found

    def untold(self) -> Splat | None:
        """The first complaint that was neither raised nor handed out; none where that follows from a fatal one."""
        for splat in self.complaints(settle=True):
            if not splat.told:
                return splat
            if splat.fatal:
                return None
        return None

    def complaints(self, since: int = 0, *, settle: bool = False) -> list[Splat]:
        """The same as `splats`, for code that may tell nobody of them."""
        with self._changed:
            if self._cutter.open and (settle or time.monotonic() - self._last > SETTLE):
                self._keep(self._cutter.flush())
            found = [splat for splat in self._splats[since:] if not self._is_allowed(splat)]
        if self._sources:
            # Not when they are cut: that is done while the console waits.
            for splat in found:
                splat.locate(self._sources)
        return found

    @property
    def lost(self) -> int:
        """How many records are no longer in memory, because the guest logged more than is kept."""
        with self._changed:
            return self._total - len(self._records)

    @property
    def splat_count(self) -> int:
        """How many complaints there have been, allowed ones too."""
        with self._changed:
            return self._count

    @property
    def begun(self) -> tuple[str, str] | None:
        """Kind and headline of a splat whose lines are still coming."""
        with self._changed:
            return self._cutter.headline

    @property
    def dying(self) -> bool:
        """Whether a splat whose lines are still coming shows, by now, that the kernel killed a task or itself."""
        with self._changed:
            return self._cutter.dying

    def allow(self, pattern: str, *, reason: str = "") -> None:
        """From now on, `check` passes over complaints whose headline matches this regular expression.

        Args:
            reason: why they are no failure, for whoever reads the test's report.
        """
        with self._changed:
            self._allowed.append(Allowance(re.compile(pattern), reason))

    def allowances(self) -> list[str]:
        """What was allowed, each with whether it came and the reason, in a line."""
        self.complaints()
        with self._changed:
            return [str(allowance) for allowance in self._allowed]

    def _is_allowed(self, splat: Splat) -> bool:
        # All of them are asked: each says whether what it allows did come.
        return bool([allowance for allowance in self._allowed if allowance.covers(splat)])

    def sync(self, timeout: float = 5.0) -> None:
        """Wait until everything that the guest has logged so far is here.

        Raises:
            GuestTimeout: the guest does not answer, or its console is stuck.
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
        """Raise the first complaint, if the kernel made any (that is not allowed).

        Raises:
            Splat: it did.
            R4LError: it is not known, because the guest no longer answers.
        """
        trouble: R4LError | None = None
        try:
            self.sync()
        except R4LError as error:
            trouble = error
        # What the guest logged up to now is here: a splat that is still open is as long as it will be.
        for splat in self.splats(settle=True):
            raise splat from trouble
        if trouble:
            raise trouble

    def wait_for(self, pattern: str, timeout: float = 10.0, since: int = 0) -> Record:
        """Wait for a record that matches a regular expression.

        Raises:
            GuestTimeout: none came within `timeout` seconds.
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
        """The last records, for messages."""
        return "\n".join(map(str, self.records()[-count:]))

    @classmethod
    def of(cls, lines: Iterable[str]) -> KernelLog:
        """The log that a console text holds."""
        log = cls()
        for line in lines:
            log.feed(line)
        log.finish()
        return log
