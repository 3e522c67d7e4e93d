# SPDX-License-Identifier: MIT
"""The reader of logs: any encoding and compression, any bytes, any length."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.klog.logs import OOPS, read

from r4l.errors import UsageError
from r4l.klog.packed import opened
from r4l.klog.reader import complaints
from r4l.klog.splat import Splat


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress], ids=["plain", "gz", "xz", "bz2"])
def test_logs_that_are_compressed(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    (tmp_path / "log").write_bytes(pack("\n".join(OOPS).encode()))
    with opened(tmp_path / "log") as stream:
        assert len(list(complaints(stream))) == 1


def test_logs_that_are_compressed_with_zstd(tmp_path: Path) -> None:
    half = len(OOPS) // 2
    packed = [zstandard.compress("".join(f"{line}\n" for line in part).encode()) for part in (OOPS[:half], OOPS[half:])]
    (tmp_path / "log").write_bytes(b"".join(packed))
    with opened(tmp_path / "log") as stream:
        assert len(list(complaints(stream))) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_logs_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    lines = [f"[    1.{number:06}] {text}" for number, text in enumerate(OOPS)]
    (tmp_path / "log").write_text("\n".join(lines), encoding=encoding)
    with opened(tmp_path / "log") as stream:
        (splat,) = complaints(stream)
    assert (splat.first, splat.last) == (1, len(lines))


PACKERS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstandard.compress}
packers = pytest.mark.parametrize("pack", PACKERS.values(), ids=list(PACKERS))


@packers
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_packed_log_of_another_encoding(tmp_path: Path, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """Regression: PowerShell's `dmesg > file`, packed, was "no complaint"."""
    lines = [f"[    1.{number:06}] {text}" for number, text in enumerate(OOPS)]
    (tmp_path / "log").write_bytes(pack("\n".join([*lines, "", "é" * 20_000]).encode(encoding)))
    (splat,) = read_packed(tmp_path / "log")
    assert (splat.first, splat.last) == (1, len(lines))


@packers
def test_a_packed_list_of_messages(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    messages = [{"pri": 4, "time": 1.0, "msg": text} for text in OOPS]
    (tmp_path / "log").write_bytes(pack(json.dumps({"dmesg": messages}, separators=(",", ":")).encode()))
    assert len(read_packed(tmp_path / "log")) == 1


NUMBERED = "".join(f"[{number:5}.000000] usb 1-{number}: {number**9}\n" for number in range(50_000))


def read_packed(file: Path) -> list[Splat]:
    with opened(file) as stream:
        return list(complaints(stream))


@packers
def test_a_log_that_is_cut_off(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack("\n".join(OOPS).encode())
    for length in range(12, len(whole)):
        (tmp_path / "log").write_bytes(whole[:length])
        with pytest.raises(UsageError, match="damaged"):
            read_packed(tmp_path / "log")


@packers
def test_a_log_that_is_damaged(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack("\n".join(OOPS * 3).encode())
    causes = set()
    for place in range(len(whole)):
        for change in (0xFF,) if place % 4 else (1, 0x80):
            data = bytearray(whole)
            data[place] ^= change
            (tmp_path / "log").write_bytes(data)
            try:
                read_packed(tmp_path / "log")
            except UsageError as error:
                causes.add(error.cause)
    assert causes
    assert all("damaged" in cause for cause in causes)


@packers
def test_complaints_before_the_damage_are_kept(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = "".join(f"[    1.{number:06}] {text}\n" for number, text in enumerate(OOPS)) + NUMBERED
    whole = pack(text.encode())
    (tmp_path / "log").write_bytes(whole[: len(whole) // 2])
    found = []
    with pytest.raises(UsageError, match="damaged"), opened(tmp_path / "log") as stream:  # noqa: PT012 (what it gave)
        for splat in complaints(stream):
            found.append(splat.headline)
    assert len(found) == 1


@packers
def test_bytes_after_the_end(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = "\n".join(OOPS).encode()
    (tmp_path / "log").write_bytes(pack(text[:100]) + pack(text[100:]))
    assert len(read_packed(tmp_path / "log")) == 1
    if pack is not zstandard.compress:
        (tmp_path / "log").write_bytes(pack(text) + b"a signature")
        assert len(read_packed(tmp_path / "log")) == 1


def test_zstd_of_many_frames(tmp_path: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    lines = [zstandard.compress(f"{line}\n".encode()) for line in OOPS]
    (tmp_path / "log").write_bytes(skipped + skipped.join(lines) + zstandard.compress(b"x" * 10_000_000))
    assert len(read_packed(tmp_path / "log")) == 1


@pytest.mark.parametrize("start", [b"BZh", b"BZh9", b"LZIP", b"PK", b"7z"])
def test_words_that_a_compressed_file_could_begin_with(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "log").write_bytes(start + b" is no compression\n" + "\n".join(OOPS).encode())
    assert len(read_packed(tmp_path / "log")) == 1


@pytest.mark.parametrize("start", [b"\x04\x22\x4d\x18", b"LZIP\x01", b"PK\x03\x04", b"\x1f\x9d\x90"])
def test_a_compression_that_is_unknown(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "log").write_bytes(start + b"\0" * 100)
    with pytest.raises(UsageError, match="compressed in a way"):
        read_packed(tmp_path / "log")


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    list(complaints(io.BytesIO(noise + b"\n[    1.000000] BUG: x\n" + noise)))


class Endless(io.RawIOBase):
    """A log of so many bytes that repeats itself."""

    def __init__(self, piece: bytes, size: int) -> None:
        self._piece, self._left = piece * (1 + (1 << 16) // len(piece)), size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._piece[: min(self._left, len(self._piece))]
        self._left -= len(data)
        return data


@pytest.mark.parametrize(
    "piece",
    [
        b"\0",
        b"[    1.000000] x\n",
        b"[    1.000000] BUG: x\n",
        b"[    1.000000][  T1] BUG: x\n f+0x1/0x2\n",
        b"Call Trace:\n",
        b"Content-Type: text/plain\n" + b" x" * 4000 + b"\n",
        b"Content-Transfer-Encoding: base64\n\n" + b"QkJC" * 2000 + b"\n",
        b"Content-Type: text/plain; format=flowed\n\n" + b"word " * 800 + b"\n",
        b"x1: BUG: unable to handle\ny2: BUG: unable to handle\n",
        b"[    1.000000] BUG: x\n" + (b"[    1.000000] " + b"y" * 8000 + b"\n") * 8,
    ],
)
def test_memory_is_bounded(piece: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in complaints(Endless(piece, 1 << 18)):  # type: ignore[arg-type]
            pass
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


LONG = [
    "a",
    "_",
    "[",
    " ",
    "x ",
    "f+0x1/",
    "(",
    "<",
    "CPU: ",
    "WARNING: ",
    "a.",
    "0",
    "._R",
    "alloc_",
    "CPU: 0 PID: 1 Comm: ",
    "1:",
    "<a ",
    "x.c:1 ",
    "x.c:1 (discriminator 1) ",
]


@pytest.mark.parametrize("piece", LONG)
def test_no_line_takes_long(piece: str) -> None:
    line = (piece * 8000)[:8000]
    begin = time.process_time()
    read(
        "[    1.000000] BUG: x",
        "[    1.000000] Call Trace:",
        *(
            f"[    1.000000] {before}{line}"
            for before in ("", " ", "INFO: task ", "RIP: 0010:", " f+0x1/0x2 (", " f (", " <", "WARNING: ", "BUG: ")
        ),
    )
    assert time.process_time() - begin < 2
