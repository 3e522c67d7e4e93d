# SPDX-License-Identifier: MIT
"""Console text and /dev/kmsg to records.

The VM's kernel is told `console_msg_format=syslog`, so each of its lines begins `<LEVEL>[    1.234567] `; a line
without that is from a program that writes to the console. Both may share a line (a prompt, then a message).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

PREFIX = re.compile(r"(?:<(\d{1,4})>)?\[ *(\d+\.\d{6})\](?:\[ *([TC]\d+)\])? ?")
KMSG = re.compile(r"(\d{1,20}),(\d{1,20}),(\d{1,20}),[^;]*;(.*)")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LINE_LIMIT = 8192
"""Bytes after which a line is cut, with an end or without: a guest may write zeros for ever. The kernel's own have at
most 1,024 (PRINTKRB_RECORD_MAX in kernel/printk/internal.h)."""

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the kernel log, or of the console.

    Attributes:
        text: what it says.
        time: seconds since boot by the guest's clock; None for a line that is not the kernel's.
        level: 0 (emerg) to 7 (debug), or None where the source does not tell.
        caller: `T123` (thread) or `C0` (CPU) on kernels with CONFIG_PRINTK_CALLER.
        kernel: whether what stands before it says that the kernel wrote it; None where nothing stands there.
        number: of the line in its file, from 1; 0 where it is of no file.
    """

    text: str
    time: float | None = None
    level: int | None = None
    caller: str | None = None
    kernel: bool | None = field(default=None, compare=False)
    number: int = field(default=0, compare=False)

    def __str__(self) -> str:
        stamp = "" if self.time is None else f"[{self.time:12.6f}] "
        return stamp + self.text


def parse_line(line: str) -> list[Record]:
    """The records in one line of console text: what a program wrote there, and the kernel's message after it."""
    clean = ESCAPE.sub("", line).rstrip("\r\n")
    match = PREFIX.search(clean)
    if match is None:
        return [Record(clean)] if clean else []
    records = [Record(clean[: match.start()])] if match.start() else []
    level = int(match[1]) & 7 if match[1] else None
    records.append(Record(clean[match.end() :], float(match[2]), level, match[3], True))
    return records


def parse_kmsg(line: str) -> Record | None:
    """A record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg); None for its continuation lines."""
    match = KMSG.fullmatch(line.rstrip("\n"))
    if match is None:
        return None
    return Record(match[4], int(match[3]) / 1e6, int(match[1]) & 7, kernel=True)


def parse(text: str) -> Iterator[Record]:
    """The records of a whole console log."""
    for line in text.splitlines():
        yield from parse_line(line)


class LineSplitter:
    """Cuts a stream of bytes into lines; holds at most `LINE_LIMIT` bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[str]:
        """The lines that are whole now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            lines.append(self._rest)
            self._rest = b""
        return [piece.decode("utf-8", "replace") for line in lines for piece in _pieces(line)]

    @property
    def rest(self) -> str:
        """The line that has no end yet, such as a prompt."""
        return self._rest.decode("utf-8", "replace")


def _pieces(line: bytes) -> Iterable[bytes]:
    """A line, in pieces where it is longer than any that the kernel writes."""
    return (line[at : at + LINE_LIMIT] for at in range(0, max(len(line), 1), LINE_LIMIT))
