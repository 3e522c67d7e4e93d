# SPDX-License-Identifier: MIT
"""Damaged disks are noticed and made again before a guest starts from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from r4l.process import quiet
from r4l.rootfs import disk, seal
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import Toolchain

CONTENT = bytes(range(256)) * 64


def truncate(path: Path) -> None:
    os.truncate(path, len(CONTENT) // 2)


def write_into(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")


def remove_note(path: Path) -> None:
    path.with_name(path.name + ".seal").unlink()


def cut_note(path: Path) -> None:
    os.truncate(path.with_name(path.name + ".seal"), 3)


DAMAGE: list[Callable[[Path], None]] = [truncate, write_into, Path.unlink, remove_note, cut_note]


def sealed(folder: Path) -> Path:
    partial = folder / "partial"
    partial.write_bytes(CONTENT)
    # Long ago, so that a write of a moment later has another time on any file system.
    os.utime(partial, (1e9, 1e9))
    seal.publish_sealed(partial, folder / "final")
    return folder / "final"


def test_what_was_published_is_whole(tmp_path: Path) -> None:
    final = sealed(tmp_path)
    assert seal.is_whole(final)
    assert final.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "final.seal"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    final = sealed(tmp_path)
    damage(final)
    assert not seal.is_whole(final)
    final.unlink(missing_ok=True)
    assert seal.is_whole(sealed(tmp_path)), "and cured by making it anew"


def test_image_that_is_damaged_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    made: list[Path] = []

    def make(image: DiskImage, *_rest: object) -> None:
        made.append(image.path)
        partial = tmp_path / "partial"
        partial.write_bytes(CONTENT)
        seal.publish_sealed(partial, image.path)

    class Tools:
        suite = "testing"

        def extended(self, _name: str, say: object) -> Tools:
            return self

    monkeypatch.setattr(disk, "_make", make)
    monkeypatch.setattr(disk, "_layer", lambda *_: b"layer")
    monkeypatch.setattr(Keys, "get", lambda _tools: Keys(tmp_path))
    tools = cast(Toolchain, Tools())
    image = DiskImage.get("debian", tools, quiet)
    assert DiskImage.get("debian", tools, quiet) == image
    assert made == [image.path], "the second time it is there"
    truncate(image.path)
    said: list[str] = []
    assert DiskImage.get("debian", tools, said.append) == image
    assert made == [image.path, image.path]
    assert said == ["the image is damaged: making it again"]
    assert image.path.read_bytes() == CONTENT
