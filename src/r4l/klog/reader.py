# SPDX-License-Identifier: MIT
"""The complaints in other people's logs: any file, any prefixes, compressed or not, however long."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from r4l.errors import EnvironmentFault, UsageError
from r4l.klog import kinds
from r4l.klog.cutter import SplatCutter
from r4l.klog.prefixes import CONSOLE, parse_line
from r4l.klog.records import LineSplitter
from r4l.klog.splat import Splat

CHUNK = 1 << 18
"""Bytes that are read at once."""
_UNPACK = ((b"\x1f\x8b", gzip.open), (b"\xfd7zXZ\0", lzma.open), (b"BZh", bz2.open))
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What PowerShell writes for `dmesg > file`."""
_ZST = b"\x28\xb5\x2f\xfd"


def complaints(stream: IO[bytes], log: Path | None = None) -> Iterator[Splat]:
    """The complaints in a log, as they end; with little memory, however long it is.

    Args:
        stream: bytes, whether they are text or not.
        log: the file that they name.
    """
    cutter = SplatCutter(log, only_kernel=False)
    splitter = LineSplitter()
    number = 0
    while chunk := stream.read(CHUNK):
        for line in splitter.feed(chunk):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
            yield from _feed(cutter, line, number)
    if splitter.rest:
        yield from _feed(cutter, splitter.rest, number + 1)
    yield from cutter.flush()


def _feed(cutter: SplatCutter, line: str, number: int) -> Iterator[Splat]:
    if not cutter.open and (match := CONSOLE.match(line)):
        # The short way: most lines are the kernel's own, and begin nothing.
        text = line[match.end() :]
        if "[" not in text and "\x1b" not in text and not kinds.ANY.match(text):
            cutter.pass_over(match[3])
            return
    for record in parse_line(line, number):
        yield from cutter.feed(record)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A log's bytes, unpacked where its first bytes say that it is compressed.

    Raises:
        EnvironmentFault: it is compressed with zstd, and there is no such program.
        UsageError: it is no file, or damaged.
    """
    with path.open("rb") as file, unpacked(file, str(path)) as stream:
        yield stream


@contextmanager
def unpacked(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The same for a stream that is open already, such as standard input."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))
    start = buffered.peek(6)[:6]
    try:
        unpack = next((each for magic, each in _UNPACK if start.startswith(magic)), None)
        if unpack:
            yield cast(IO[bytes], unpack(buffered))
        elif start.startswith(_ZST):
            with _zstd(buffered) as stream:
                yield stream
        elif start.startswith(_UTF16):
            yield cast(IO[bytes], codecs.EncodedFile(buffered, "utf-8", "utf-16", "replace"))
        else:
            yield buffered
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UsageError(f"{name} is damaged: {error}", "is it whole?") from error


@contextmanager
def _zstd(file: IO[bytes]) -> Iterator[IO[bytes]]:
    program = shutil.which("zstd")
    if program is None:
        raise EnvironmentFault(
            "the log is compressed with zstd, and there is no such program", "install zstd, or unpack it"
        )
    with subprocess.Popen(
        [program, "-dc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # What was looked at already is in the buffer only, so the program cannot read the file itself.
        pump = threading.Thread(target=_pump, args=(file, process.stdin), daemon=True)
        pump.start()
        try:
            yield process.stdout
        finally:
            process.kill()
            pump.join()


def _pump(source: IO[bytes], target: IO[bytes]) -> None:
    with suppress(BrokenPipeError), target:
        shutil.copyfileobj(source, target)
