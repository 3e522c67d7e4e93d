# SPDX-License-Identifier: MIT
"""Parse console text and /dev/kmsg into records.

The VM's kernel runs with `console_msg_format=syslog`, so each of its lines begins `<LEVEL>[    1.234567] `. A line
without this prefix was written to the console by a program. A program's prompt and a kernel message can share a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

PREFIX = re.compile(r"(?:<(\d{1,4})>)?\[ *(\d+\.\d{6})\](?:\[ *([TC]\d+)\])? ?")
TIMELESS = re.compile(r"<(\d{1,4})>(?:\[ *([TC]\d+)\] ?)?")
"""Prefix at the beginning of a line of a kernel that prints no time (`printk.time=0`)."""
KMSG = re.compile(r"(\d{1,20}),(\d{1,20}),(\d{1,20}),[^;]*;(.*)")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
JSON_LIMIT = 1 << 20
"""Bytes after which a line of JSON is cut, which may have a whole report for one of its members."""
LINE_LIMIT = 8192
"""Bytes after which a line is cut, since a guest can write without a line end.

Kernel records have at most 1,024 bytes (PRINTKRB_RECORD_MAX in kernel/printk/internal.h).
"""

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the kernel log, or of the console.

    Attributes:
        text: the message without its prefix.
        time: seconds since boot by the guest's clock; None for a line that is not the kernel's.
        level: 0 (emerg) to 7 (debug), or None if unknown.
        caller: `T123` (thread) or `C0` (CPU) on kernels with CONFIG_PRINTK_CALLER.
        kernel: True if the prefix is the kernel's, False if another program's, None without a prefix.
        number: of the line in its file, from 1; 0 without a file.
        machine: whose kernel it is, in a log of several machines; empty if the line does not say.
        clock: time of day in seconds, by another program's clock, of a line without a time of the kernel's; else None.
    """

    text: str
    time: float | None = None
    level: int | None = None
    caller: str | None = None
    kernel: bool | None = field(default=None, compare=False)
    number: int = field(default=0, compare=False)
    machine: str = field(default="", compare=False)
    clock: float | None = field(default=None, compare=False)

    def __str__(self) -> str:
        stamp = "" if self.time is None else f"[{self.time:12.6f}] "
        return stamp + self.text


def parse_line(line: str) -> list[Record]:
    """Parse one line of console text: output of a program, and the kernel message after it."""
    clean = ESCAPE.sub("", line).rstrip("\r\n")
    match = PREFIX.search(clean)
    if match is None and (bare := TIMELESS.match(clean)):
        return [Record(clean[bare.end() :], None, int(bare[1]) & 7, bare[2], True)]
    if match is None:
        return [Record(clean)] if clean else []
    records = [Record(clean[: match.start()])] if match.start() else []
    level = int(match[1]) & 7 if match[1] else None
    records.append(Record(clean[match.end() :], float(match[2]), level, match[3], True))
    return records


def parse_kmsg(line: str) -> Record | None:
    """Parse a record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg); None for its continuation lines."""
    match = KMSG.fullmatch(line.rstrip("\n"))
    if match is None:
        return None
    return Record(match[4], int(match[3]) / 1e6, int(match[1]) & 7, kernel=True)


def parse(text: str) -> Iterator[Record]:
    """Parse a whole console log."""
    for line in text.splitlines():
        yield from parse_line(line)


class LineSplitter:
    """Splitter of a byte stream into lines; buffers at most `LINE_LIMIT` bytes.

    Args:
        longer: begins of lines that may have `JSON_LIMIT` bytes.

    Attributes:
        number: of the unfinished last line in the stream, from 1.
    """

    def __init__(self, longer: tuple[bytes, ...] = ()) -> None:
        self._longer = longer
        self._rest = b""
        self.number = 1

    def feed(self, data: bytes) -> Iterable[str]:
        """Add bytes; return the lines that are complete."""
        return [text for _, text in self.numbered(data)]

    def numbered(self, data: bytes) -> list[tuple[int, str]]:
        """Add bytes; return the lines that are complete, each with its number. Pieces of a long line have the same."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = [(number, line) for number, line in enumerate(lines, self.number)]
        self.number += len(lines)
        if len(self._rest) > LINE_LIMIT and len(self._rest) > self._limit(self._rest):
            found.append((self.number, self._rest))
            self._rest = b""
        return [(number, piece.decode("utf-8", "replace")) for number, line in found for piece in self._pieces(line)]

    @property
    def rest(self) -> str:
        """Text of the unfinished last line, such as a prompt."""
        return self._rest.decode("utf-8", "replace")

    def _pieces(self, line: bytes) -> Iterable[bytes]:
        """Cut a line into pieces of at most its limit."""
        if len(line) <= LINE_LIMIT:
            return (line,)
        limit = self._limit(line)
        return (line[at : at + limit] for at in range(0, len(line), limit))

    def _limit(self, line: bytes) -> int:
        """Return the most bytes that a line may have."""
        return JSON_LIMIT if line.startswith(self._longer) else LINE_LIMIT
