# SPDX-License-Identifier: MIT
"""Read complaints from other people's logs: any file, any prefixes, compressed or not, of any length."""

from __future__ import annotations

import io
import os
import select
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from r4l.errors import R4LError
from r4l.klog import kinds
from r4l.klog.cutter import QUIET, SplatCutter
from r4l.klog.flow import FlowedLines
from r4l.klog.heads import RepeatedHead
from r4l.klog.markup import MailDecoder
from r4l.klog.prefixes import CONSOLE, parse_any_line
from r4l.klog.records import LineSplitter, Record
from r4l.klog.splat import Splat

CHUNK = 1 << 18
"""Bytes read at once."""
END = "\r\n\0\ufffd"
"""Characters at the end of a line that are no text: NUL bytes and noise of a serial line are no valid UTF-8."""
BLANK = b"\0\t\r\n \xef\xbb\xbf\xff\xfe"
"""Bytes of a log that is empty, also of one whose writer only made room for it or wrote a byte order mark, and of
erased flash."""
BLANKS = f"{END} "
JSON = (b"{", b"[{", b'"', b"data: {", b"\x1e{", b"\xef\xbb\xbf{")
"""Begins of lines that may be JSON (markup.py)."""
MACHINES = 16
"""Machines of a log that are told apart; of more, the complaints of the first one are closed."""


def complaints(
    stream: IO[bytes], log: Path | None = None, *, on_empty: Callable[[], None] | None = None
) -> Iterator[Splat]:
    """Yield the complaints in a log as they end, in constant memory.

    Args:
        stream: bytes, not necessarily valid text.
        log: file that the complaints name as their source.
        on_empty: called at the end of a log that has no text, only blanks at most.

    Raises:
        UsageError, OSError: the stream is damaged, or cannot be read; after the complaints until there.
    """
    reader = _Reader(log, on_empty)
    try:
        while chunk := stream.read(CHUNK):
            yield from reader.read(chunk)
    except (R4LError, OSError):
        yield from reader.end()
        raise
    yield from reader.end()


def grows(stream: IO[bytes]) -> bool:
    """True if a stream may get more bytes while it is read: a pipe or a device, not compressed."""
    plain = isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO)
    return plain and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)


def growing(
    stream: IO[bytes], log: Path | None = None, *, on_empty: Callable[[], None] | None = None
) -> Iterator[Splat | None]:
    """Yield the complaints in a log that grows, each when it is over: by its next lines, or because none come.

    A complaint that is open when the reader is interrupted is yielded, too. A stream that has not ended after `QUIET`
    seconds, or is interrupted, gives one None, after the complaints until then.

    Args:
        stream: one that `grows`, whose reads wait for bytes.
        log: file that the complaints name as their source.
        on_empty: called at the end of a log that has no text, only blanks at most.

    Raises:
        KeyboardInterrupt: the user ended it.
    """
    assert isinstance(stream, io.BufferedReader)
    reader = _Reader(log, on_empty)
    begun = time.monotonic()
    told = False
    try:
        # Not for the first bytes: `unpacked` has them read already, and select(2) does not see them.
        while chunk := stream.read1(CHUNK):
            yield from reader.read(chunk, time.monotonic())
            while not select.select([stream], [], [], None if told and not reader.open else QUIET)[0]:
                yield from reader.settle(time.monotonic())
                if not told:
                    told = True
                    yield None
            yield from reader.settle(time.monotonic())
            if not told and time.monotonic() - begun >= QUIET:
                told = True
                yield None
    except KeyboardInterrupt:
        if not told:
            yield None
        yield from reader.end()
        raise
    yield from reader.end()


class _Reader:
    """Cutters of complaints for each machine in a log, such as a syslog server's or docker compose's."""

    def __init__(self, log: Path | None, on_empty: Callable[[], None] | None = None) -> None:
        self._log = log
        self._on_empty = on_empty
        """The function to call at the end; None once there is text."""
        self._cutters: dict[str, SplatCutter] = {}
        self._now = 0.0
        self._last = self._cutter("")
        self._mail = MailDecoder()
        self._flow = FlowedLines()
        self._encoded = False
        """True if the next line must be decoded, or goes on with the one before."""
        self._heads = RepeatedHead()
        self._splitter = LineSplitter(JSON)

    @property
    def open(self) -> bool:
        """True while a complaint has begun and not ended."""
        return any(cutter.open for cutter in self._cutters.values())

    def read(self, data: bytes, now: float = 0.0) -> Iterator[Splat]:
        """Add bytes; yield the complaints that they complete.

        Args:
            data: the bytes.
            now: time of a clock, for `settle`.
        """
        self._tell_time(now)
        if self._on_empty and data.strip(BLANK):
            self._on_empty = None
        for number, line in self._splitter.numbered(data):
            yield from self.feed(line.removeprefix("\ufeff") if number == 1 else line, number)

    def settle(self, now: float) -> Iterator[Splat]:
        """Yield the complaints that are over because no line of theirs has come for a while."""
        self._tell_time(now)
        for cutter in self._cutters.values():
            yield from cutter.settle()

    def _tell_time(self, now: float) -> None:
        self._now = now
        for cutter in self._cutters.values():
            cutter.now = now

    def end(self) -> Iterator[Splat]:
        """End the log: yield the complaints that are open."""
        number = self._splitter.number - (not self._splitter.rest)
        if self._splitter.rest:
            yield from self.feed(self._splitter.rest, number)
        rest = [whole for text in self._mail.flush() for whole in self._flow.feed(text)] + self._flow.flush()
        for text in rest:
            yield from self._read(text.rstrip(BLANKS), number)
        yield from self._cut(self._held())
        for cutter in self._cutters.values():
            yield from cutter.flush()
        if self._on_empty:
            self._on_empty()

    def _cutter(self, machine: str) -> SplatCutter:
        found = self._cutters.get(machine)
        if found is None:
            found = self._cutters[machine] = SplatCutter(self._log, only_kernel=False)
            found.now = self._now
        return found

    def feed(self, line: str, number: int) -> list[Splat]:
        """Add a line; return the complaints that it completes."""
        text = line.rstrip(BLANKS)
        quick = not self._encoded and self._last.idle and not self._heads.holding
        if quick and (match := CONSOLE.match(text)):
            # Fast path: most lines have the kernel's own prefix and begin no complaint.
            words = text[match.end() :]
            if "[" not in words and "&" not in words and "\x1b" not in words and not kinds.begins(words):
                self._last.pass_over(match[3])
                return []
        if self._encoded or len(line) > len(text) + 1 or line[:8] in ("Content-", "content-", "CONTENT-"):
            return self._decode(line.rstrip(END), number)
        return self._cut(self._without_head(parse_any_line(text, number), number))

    def _decode(self, line: str, number: int) -> list[Splat]:
        """Add a line that may be encoded."""
        if line[:8].lower() == "content-" and self._mail.header(line):
            lines = []
        else:
            lines = self._mail.decode(line) if self._mail.active else [line]
            self._flow.announced, self._flow.mail = self._mail.flowed, self._mail.begun
            lines = [whole for text in lines for whole in self._flow.feed(text)]
        self._encoded = self._mail.active or self._mail.begun or self._flow.open
        return [splat for text in lines for splat in self._read(text.rstrip(BLANKS), number)]

    def _read(self, line: str, number: int) -> list[Splat]:
        """Add a line that is decoded, without the blanks at its end."""
        return self._cut(self._without_head(parse_any_line(line, number), number))

    def _without_head(self, records: list[Record], number: int) -> list[Record]:
        """Return the records of lines that can be read after this one, without a prefix that no table lists."""
        if self._last.marked or len(records) != 1 or records[0].kernel is not None:
            return [*self._held(), *records] if self._heads.holding else records
        heads = self._heads.feed(records[0].text, number)
        if heads == [(records[0].text, number)]:
            return records
        return [record for text, at in heads for record in parse_any_line(text, at)]

    def _held(self) -> list[Record]:
        """Return the records of the line that was held back."""
        return [record for text, at in self._heads.flush() for record in parse_any_line(text, at)]

    def _cut(self, records: Iterable[Record]) -> list[Splat]:
        done: list[Splat] = []
        for record in records:
            if record.machine:
                if record.machine not in self._cutters and len(self._cutters) >= MACHINES:
                    done += self._cutters.pop(next(iter(self._cutters))).flush()
                self._last = self._cutter(record.machine)
            done += self._last.feed(record)
        return done
