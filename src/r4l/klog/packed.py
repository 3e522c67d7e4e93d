# SPDX-License-Identifier: MIT
"""Open logs as a stream of bytes: decompress them, and decode UTF-16."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from r4l.errors import UsageError

_UNPACK = (
    (re.compile(rb"\x1f\x8b"), gzip.open),
    (re.compile(rb"\xfd7zXZ\0"), lzma.open),
    # The beginning of a block, or of the end of an empty file: "BZh" may be a word.
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"), bz2.open),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), lambda packed: io.BufferedReader(_Unzstd(packed))),
)
"""First bytes of a compressed file, and what opens it."""
_FOREIGN = (
    (b"\x04\x22\x4d\x18", "lz4 -dc"),
    (b"\x02\x21\x4c\x18", "lz4 -dc"),
    (b"LZIP\x01", "lzip -dc"),
    (b"\x89LZO\0", "lzop -dc"),
    (b"\x1f\x9d", "gzip -dc"),
    (b"PK\x03\x04", "unzip -p"),
    (b"7z\xbc\xaf\x27\x1c", "7z x -so"),
)
"""First bytes of other compressed files, and the programs that write their content to standard output."""
_DAMAGES = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)
_NO_MEMBER = "Not a gzipped file"
"""Begin of the message of Python's gzip for other bytes after the end of the content. The program gzip ignores them."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks; PowerShell writes UTF-16 for `dmesg > file`."""
_LOOK = 64
"""Bytes that show an encoding."""
_LIST = re.compile(rb'(?:\{"dmesg" ?: ?)?\[\{"')
"""First bytes of messages in one line: dmesg --json | jq -c, journalctl -o json | jq -cs."""
_WINDOW = 1 << 27
"""Bytes of memory that a zstd stream may use; the same limit as the zstd program's default (its option --memory)."""
_PIECE = 256
"""Bytes of a zstd stream that are unpacked at once, to 8 MiB at most: a block has four bytes or more, and unpacked 128
KiB at most (RFC 8878, 3.1.1.2)."""


class _Unzstd(io.RawIOBase):
    """Stream of the content of a zstd file. The library's own ends without an error where the file is cut off."""

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._frame = self._new()
        self._begun = False
        """True if the frame has begun, so that it must end."""
        self._left = b""
        """Bytes after the end of a frame."""
        self._ready = memoryview(b"")

    @staticmethod
    def _new() -> Any:
        return zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return the number of bytes, 0 at the end.

        Raises:
            EOFError: the file ends within a frame.
            zstandard.ZstdError: the file is damaged.
        """
        while not self._ready:
            data = self._left or self._packed.read(_PIECE)
            if not data and self._begun:
                raise EOFError("the compressed file ends before its content")
            if not data:
                return 0
            self._left, self._begun = b"", True
            self._ready = memoryview(self._frame.decompress(data))
            if self._frame.eof:
                self._left, self._begun = self._frame.unused_data, False
                self._frame = self._new()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size


class _Unpacked:
    """Stream of a decompressor, in pieces so small that damage takes few good bytes with it."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name

    def read(self, size: int) -> bytes:
        """Return bytes, `size` at most; none at the end.

        Raises:
            UsageError: the compressed data are damaged.
            OSError: the file cannot be read.
        """
        try:
            data: bytes = self._stream.read1(min(size, io.DEFAULT_BUFFER_SIZE))
        except _DAMAGES as error:
            if str(error).startswith(_NO_MEMBER):
                return b""
            raise UsageError(f"{self._name} is damaged: {error}", "is it whole?") from error
        except OSError as error:
            if error.errno is not None:
                raise
            # bz2 has no class of its own.
            raise UsageError(f"{self._name} is damaged: {error}", "is it whole?") from error
        return data


class _Begun:
    """Stream of which the first bytes have been read to see what they are."""

    def __init__(self, start: bytes, rest: _Unpacked) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int) -> bytes:
        """Return bytes, `size` at most; none at the end."""
        if not self._start:
            return self._rest.read(size)
        data, self._start = self._start[:size], self._start[size:]
        return data


class _Parted:
    """Stream of JSON that is one line, with a line for each object of its list."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return bytes, some more than `size`; none at the end."""
        while True:
            data = self._stream.read(size)
            whole = (self._rest + data).replace(b"},{", b"},\n{")
            # The mark may be cut in two.
            upto = len(whole) - 2 if data else len(whole)
            if upto > 0 or not data:
                self._rest = whole[upto:]
                return whole[:upto]
            self._rest = whole


def _encoding(start: bytes) -> str | None:
    """Return the UTF-16 encoding of a log by its first bytes; None for any other. Without a byte order mark, every
    second byte must be zero."""
    if start.startswith(_UTF16):
        return "utf-16"
    even, odd = start[::2], start[1::2]
    if len(odd) < 4 or any(even) is any(odd):
        return None
    return ("utf-16-le" if not any(odd) else "utf-16-be") if all(even) or all(odd) else None


def _plain(stream: Any, start: bytes) -> IO[bytes]:
    """Return a stream of lines in UTF-8.

    Args:
        stream: the stream that is read.
        start: its first bytes, which it still returns.
    """
    if encoding := _encoding(start):
        return cast(IO[bytes], codecs.EncodedFile(stream, "utf-8", encoding, "replace"))
    return cast(IO[bytes], _Parted(stream) if _LIST.match(start) else stream)


class _Content:
    """Stream of a compressed log's content in UTF-8. Its encoding is looked for at the first read: a pipe may have
    nothing yet."""

    def __init__(self, packed: _Unpacked) -> None:
        self._packed = packed
        self._stream: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        """Return bytes; none at the end. Raises what `_Unpacked.read` raises."""
        if self._stream is None:
            start = self._packed.read(io.DEFAULT_BUFFER_SIZE)
            self._stream = _plain(_Begun(start, self._packed), start[:_LOOK])
        return self._stream.read(size)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a log, decompressing it if its first bytes are those of gzip, xz, bzip2 or zstd.

    Raises:
        UsageError: the compressed data are damaged, or of another program.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file, unpacked(file, str(path)) as stream:
        yield stream


@contextmanager
def unpacked(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Decompress an open stream, such as standard input; see `opened`."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))
    start = buffered.peek(_LOOK)[:_LOOK]
    for magic, program in _FOREIGN:
        if start.startswith(magic):
            raise UsageError(f"{name} is compressed in a way that r4l does not know", f"{program} FILE | r4l log")
    if unpack := next((each for magic, each in _UNPACK if magic.match(start)), None):
        yield cast(IO[bytes], _Content(_Unpacked(unpack(buffered), name)))
    else:
        yield _plain(buffered, start)
