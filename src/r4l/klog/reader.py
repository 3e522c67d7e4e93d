# SPDX-License-Identifier: MIT
"""Read complaints from other people's logs: any file, any prefixes, compressed or not, of any length."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from r4l.errors import UsageError
from r4l.klog import kinds
from r4l.klog.cutter import SplatCutter
from r4l.klog.heads import RepeatedHead
from r4l.klog.markup import MailDecoder
from r4l.klog.prefixes import CONSOLE, parse_line
from r4l.klog.records import LineSplitter, Record
from r4l.klog.splat import Splat

CHUNK = 1 << 18
"""Bytes read at once."""
MACHINES = 16
"""Machines of a log that are told apart; of more, the complaints of the first one are closed."""
_UNPACK = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\0", lzma.open), (b"BZh", bz2.open))
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks; PowerShell writes UTF-16 for `dmesg > file`."""
_LOOK = 64
"""Bytes that show an encoding."""
_ZST = b"\x28\xb5\x2f\xfd"
_WINDOW = 1 << 27
"""Bytes of memory that a zstd stream may use; the same limit as the zstd program's default (its option --memory)."""


def complaints(stream: IO[bytes], log: Path | None = None) -> Iterator[Splat]:
    """Yield the complaints in a log as they end, in constant memory.

    Args:
        stream: bytes, not necessarily valid text.
        log: file that the complaints name as their source.
    """
    reader = _Reader(log)
    splitter = LineSplitter()
    number = 0
    while chunk := stream.read(CHUNK):
        for line in splitter.feed(chunk):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
            yield from reader.feed(line, number)
    if splitter.rest:
        yield from reader.feed(splitter.rest, number + 1)
    yield from reader.flush()


class _Reader:
    """Cutters of complaints for each machine in a log, such as a syslog server's or docker compose's."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._cutters: dict[str, SplatCutter] = {}
        self._last = self._cutter("")
        self._mail = MailDecoder()
        self._heads = RepeatedHead()

    def _cutter(self, machine: str) -> SplatCutter:
        found = self._cutters.get(machine)
        if found is None:
            found = self._cutters[machine] = SplatCutter(self._log, only_kernel=False)
        return found

    def feed(self, line: str, number: int) -> list[Splat]:
        """Add a line; return the complaints that it completes."""
        line = line.rstrip("\r\n\0 ")
        if line[:8] in ("Content-", "content-", "CONTENT-"):
            self._mail.header(line)
        elif self._mail.encoded:
            whole = self._mail.decode(line)
            if whole is None:
                return []
            line = whole
        if not self._last.open and (match := CONSOLE.match(line)):
            # Fast path: most lines have the kernel's own prefix and begin no complaint.
            text = line[match.end() :]
            if "[" not in text and "\x1b" not in text and not kinds.ANY.match(text):
                self._last.pass_over(match[3])
                return []
        records = parse_line(line, number)
        if not self._last.marked and len(records) == 1 and records[0].kernel is None:
            heads = self._heads.feed(records[0].text, number)
            if heads != [(records[0].text, number)]:
                records = [record for text, at in heads for record in parse_line(text, at)]
        return self._cut(records)

    def _cut(self, records: Iterable[Record]) -> list[Splat]:
        done: list[Splat] = []
        for record in records:
            if record.machine:
                if record.machine not in self._cutters and len(self._cutters) >= MACHINES:
                    done += self._cutters.pop(next(iter(self._cutters))).flush()
                self._last = self._cutter(record.machine)
            done += self._last.feed(record)
        return done

    def flush(self) -> list[Splat]:
        """End the log: return the complaints that are open."""
        held = [splat for text, at in self._heads.flush() for splat in self._cut(parse_line(text, at))]
        return held + [splat for cutter in self._cutters.values() for splat in cutter.flush()]


def _encoding(start: bytes) -> str | None:
    """Return the UTF-16 encoding of a log by its first bytes; None for any other. Without a byte order mark, every
    second byte must be zero."""
    if start.startswith(_UTF16):
        return "utf-16"
    even, odd = start[::2], start[1::2]
    if len(odd) < 4 or any(even) is any(odd):
        return None
    return ("utf-16-le" if not any(odd) else "utf-16-be") if all(even) or all(odd) else None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a log, decompressing it if its first bytes are those of gzip, xz, bzip2 or zstd.

    Raises:
        UsageError: the compressed data are damaged.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file, unpacked(file, str(path)) as stream:
        yield stream


@contextmanager
def unpacked(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Decompress an open stream, such as standard input; see `opened`."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))
    start = buffered.peek(6)[:6]
    try:
        unpack = next((each for magic, each in _UNPACK if start.startswith(magic)), None)
        if unpack:
            yield cast(IO[bytes], unpack(buffered))
        elif start.startswith(_ZST):
            unzstd = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
            with unzstd.stream_reader(buffered, read_across_frames=True) as stream:
                yield io.BufferedReader(cast(io.RawIOBase, stream))
        elif encoding := _encoding(buffered.peek(_LOOK)[:_LOOK]):
            yield cast(IO[bytes], codecs.EncodedFile(buffered, "utf-8", encoding, "replace"))
        else:
            yield buffered
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise UsageError(f"{name} is damaged: {error}", "is it whole?") from error
