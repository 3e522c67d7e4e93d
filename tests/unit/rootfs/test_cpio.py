# SPDX-License-Identifier: MIT
"""The newc archive."""

from __future__ import annotations

import io
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4l.rootfs import cpio


def archive(entries: list[cpio.Member]) -> bytes:
    out = io.BytesIO()
    written = cpio.write(entries, out)
    assert written == len(out.getvalue())
    return out.getvalue()


SAMPLE = [
    cpio.directory("dev"),
    cpio.character("dev/console", 5, 1),
    cpio.regular("a", b"12345", 0o755),
    cpio.symlink("b", "/a"),
    cpio.Member("c", stat.S_IFREG | 0o600, b"", uid=3, gid=4),
]


def test_what_is_written_is_read() -> None:
    assert list(cpio.read(archive(SAMPLE))) == SAMPLE


def test_same_entries_same_bytes_aligned_to_four() -> None:
    assert archive(SAMPLE) == archive(SAMPLE)
    assert len(archive(SAMPLE)) % 4 == 0


@pytest.mark.parametrize("name", ["/etc", "", "a/../b", "a\0b", "x" * 5000])
def test_names_that_no_archive_should_have(name: str) -> None:
    with pytest.raises(cpio.CpioError):
        archive([cpio.regular(name, b"")])


def test_a_name_given_twice() -> None:
    with pytest.raises(cpio.CpioError, match="twice"):
        archive([cpio.regular("a", b""), cpio.regular("a", b"")])


def test_archive_cut_short_says_where() -> None:
    with pytest.raises(cpio.CpioError, match="offset"):
        list(cpio.read(archive(SAMPLE)[:300]))


@given(st.binary(max_size=400))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(cpio.CpioError):
        list(cpio.read(noise))


@given(st.dictionaries(st.text("abc/d", min_size=1, max_size=8).filter(lambda n: n[0] != "/"), st.binary(max_size=50)))
def test_any_files_survive(files: dict[str, bytes]) -> None:
    entries = [cpio.regular(name, data) for name, data in files.items()]
    assert list(cpio.read(archive(entries))) == entries
