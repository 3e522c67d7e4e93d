# SPDX-License-Identifier: MIT
"""Folders of the host for a guest, and copies, as the command line writes them."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, cast

import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.guest.put import Put
from r4l.kernel import Kernel
from r4l.vm.share import Share, modules_for


def test_a_share_is_read_only_unless_it_says_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "a:b, c"
    folder.mkdir()
    assert Share.parse(f"{folder}:/mnt") == Share(folder, "/mnt")
    assert Share.parse(f"{folder}:/mnt:ro") == Share(folder, "/mnt")
    assert Share.parse(f"{folder}:/mnt:rw") == Share(folder, "/mnt", writable=True)


@pytest.mark.parametrize(
    "text", ["", ":", ":/mnt", "{}", "{}:", "{}:mnt", "{}:/mnt:rx", "{}:rw", "/no/such:/mnt", "{}/f:/mnt"]
)
def test_what_is_no_share_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(UsageError):
        Share.parse(text.format(tmp_path))


def test_a_relative_folder_is_that_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    share = Share.parse("x:/mnt")
    monkeypatch.chdir("/")
    assert share.host == tmp_path / "x"


def test_the_modules_are_those_that_are_not_built_in() -> None:
    def kernel(**config: str) -> Kernel:
        named = {f"CONFIG_{name}": value for name, value in config.items()}
        return cast(Kernel, types.SimpleNamespace(release="7.3", config=named))

    shares: Any = (None,)
    assert modules_for(kernel(P="y"), ()) == ()
    assert modules_for(kernel(**{"9P_FS": "m", "NET_9P_VIRTIO": "m"}), shares) == ("9p", "9pnet_virtio")
    assert modules_for(kernel(**{"9P_FS": "y", "NET_9P_VIRTIO": "y"}), shares) == ()
    with pytest.raises(EnvironmentFault, match="CONFIG_NET_9P_VIRTIO"):
        modules_for(kernel(**{"9P_FS": "y"}), shares)


def test_a_copy_goes_to_its_place_or_into_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "a:b"
    file.touch()
    assert Put.parse(f"{file}:/root/x").target == "/root/x"
    assert Put.parse(f"{file}:/root/").target == "/root/a:b"
    assert Put.parse(f"{tmp_path}:/").target == f"/{tmp_path.name}"


@pytest.mark.parametrize("text", ["", "{}", "{}:", "{}:root", ":/root", "/no/such:/root", "{}/none:/root/"])
def test_what_is_no_copy_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Put.parse(text.format(tmp_path))
