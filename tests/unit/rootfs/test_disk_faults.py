# SPDX-License-Identifier: MIT
"""Creation of an image with a part missing: one cause, one remedy, no partial file. Needs the toolchain."""

from __future__ import annotations

import shutil
import stat
from collections import namedtuple
from pathlib import Path

import pytest

from r4l.errors import EnvironmentFault
from r4l.process import quiet
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.ext4 import make_ext4
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import Toolchain

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    """The toolchain with its extra, and a home of the test's own beside it."""
    found = Toolchain.get(quiet).extended("image")
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    return found


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "images").iterdir() if path.name != "ssh")


def test_no_network(tools: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(EnvironmentFault, match=r"mirror cannot be reached: http://127\.0\.0\.1:9"):
        DiskImage.get("debian", tools)
    assert left_over(tmp_path / "home") == []


def test_no_space_is_said_before_anything_is_fetched(
    tools: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(0, 0, 100 << 20))
    with pytest.raises(EnvironmentFault, match=r"the debian image needs \d+ MiB, but only 100 MiB are free"):
        DiskImage.get("debian", tools)
    assert left_over(tmp_path / "home") == []


def test_content_larger_than_the_file_system(tools: Toolchain, tmp_path: Path) -> None:
    folder = tmp_path / "home/x"
    folder.mkdir(parents=True)
    (folder / "big").write_bytes(bytes(range(256)) * (1 << 16))
    shutil.make_archive(str(folder / "big"), "tar", folder, "big")
    with pytest.raises(EnvironmentFault, match="mke2fs ended with 1 while making small"):
        make_ext4(folder / "big.tar", folder / "small.ext4", 4, "small", tools)


def test_keys_are_made_once_and_are_the_users_alone(tools: Toolchain) -> None:
    keys = Keys.get(tools)
    secret = keys.identity.read_bytes()
    assert b"OPENSSH PRIVATE KEY" in secret
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(keys.identity.stat().st_mode) == stat.S_IMODE(keys.host.stat().st_mode) == 0o600
    assert Keys.get(tools).identity.read_bytes() == secret
    keys.known_hosts.write_bytes(b"")
    assert Keys.get(tools).identity.read_bytes() != secret, "what is not complete is made anew"
    host = keys.host.with_name("host_ed25519.pub").read_text().split()[1]
    assert keys.known_hosts.read_text().split()[:3] == ["r4l-guest", "ssh-ed25519", host]
