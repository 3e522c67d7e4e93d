# SPDX-License-Identifier: MIT
"""Unpacking a Debian kernel's source, also on a full disk."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from r4l.errors import EnvironmentFault
from r4l.kernel.debian import unpack_tar_xz, unpacked_beside

FILES = 6000
"""Number of files for which tar's error messages exceed a pipe's 64 KiB."""

UNPACK = """
import sys
from pathlib import Path
from r4l.errors import EnvironmentFault
from r4l.kernel.debian import unpack_tar_xz
try:
    unpack_tar_xz(Path(sys.argv[1]), Path(sys.argv[2]))
except EnvironmentFault as fault:
    print(fault.cause, len(fault.detail))
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source like Linux's: a top folder with many files."""
    path = tmp_path_factory.mktemp("source") / "linux-source.tar.xz"
    with tarfile.open(path, "w:xz", preset=0) as tar:
        for number in range(FILES):
            member = tarfile.TarInfo(f"linux/drivers/a_folder_with_a_name/file_{number}.c")
            member.size = 200
            tar.addfile(member, io.BytesIO(b"/* */\n" * 33 + b"\n\n"))
    return path


def test_the_top_folder_is_left_out(tarball: Path, tmp_path: Path) -> None:
    unpack_tar_xz(tarball, tmp_path / "source")
    assert len(list((tmp_path / "source/drivers/a_folder_with_a_name").iterdir())) == FILES


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("limit", ["size=1m", "nr_inodes=100"])
def test_a_full_disk_ends_it_at_once(tarball: Path, tmp_path: Path, limit: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o {limit} small {small} && exec "$@"'
    argv = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        mount,
        "sh",
        sys.executable,
        "-c",
        UNPACK,
        str(tarball),
        f"{small}/source",
    ]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the disk is full"), done.stdout
    assert int(done.stdout.split()[-1]) < 10_000


@pytest.mark.parametrize("content", [b"no archive at all", b""])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.tar.xz").write_bytes(content)
    with pytest.raises(EnvironmentFault, match=r"cannot unpack broken\.tar\.xz"):
        unpack_tar_xz(tmp_path / "broken.tar.xz", tmp_path / "source")


def test_an_archive_that_was_cut_short(tarball: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tar.xz").write_bytes(tarball.read_bytes()[:2000])
    with pytest.raises(EnvironmentFault, match=r"cannot unpack cut\.tar\.xz"):
        unpack_tar_xz(tmp_path / "cut.tar.xz", tmp_path / "source")


def test_other_work_beside_it(tarball: Path, tmp_path: Path) -> None:
    with unpacked_beside(tarball, tmp_path / "source"):
        (tmp_path / "other").mkdir()
    assert len(list((tmp_path / "source/drivers/a_folder_with_a_name").iterdir())) == FILES


def test_an_error_of_either_is_raised(tarball: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tar.xz").write_bytes(tarball.read_bytes()[:2000])
    with (
        pytest.raises(EnvironmentFault, match="cannot unpack cut"),
        unpacked_beside(tmp_path / "cut.tar.xz", tmp_path / "a"),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), unpacked_beside(tarball, tmp_path / "b"):
        raise KeyboardInterrupt


def test_an_interrupt_beside_it_ends_it(tmp_path: Path) -> None:
    """The source of Linux would take a quarter of a minute longer."""
    endless = tmp_path / "endless.tar.xz"
    os.mkfifo(endless)
    member = tarfile.TarInfo("linux/file.c")
    member.size = 1 << 40
    before = threading.active_count()
    head, packed = (lzma.compress(data, preset=0) for data in (member.tobuf(), b"x" * (1 << 20)))

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), endless.open("wb", buffering=0) as pipe:
            pipe.write(head)
            while True:
                pipe.write(packed)

    threading.Thread(target=feed, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), unpacked_beside(endless, tmp_path / "source"):
        raise KeyboardInterrupt
    assert threading.active_count() <= before + 1, "only the one that feeds is left"
