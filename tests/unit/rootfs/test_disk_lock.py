# SPDX-License-Identifier: MIT
"""The packages of disk images in lock files: `r4l setup --lock FILE` governs them, too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from r4l.debian.package import Package
from r4l.rootfs import disk, seal
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.install import FAKEROOT, Resolved, resolved
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import LockFile, Toolchain


def package(name: str, version: str) -> Package:
    return Package(name, f"Package: {name}\nVersion: {version}\n")


class Archive:
    """An archive with two versions of everything, the first of which is the newest."""

    versions = ("2", "1")
    depends: Mapping[str, Sequence[str]] = {
        "dpkg": ["libc6"],
        "apt": ["libc6"],
        "openssh-server": ["libcrypt1"],
        "fakeroot": ["libfakeroot"],
    }

    def essential(self) -> list[str]:
        return ["dpkg", "base-files"]

    def resolve(self, wanted: Mapping[str, str | None], there: Sequence[Package] = ()) -> dict[str, Package]:
        known, found = {one.name for one in there}, {}
        todo = list(wanted)
        for name in todo:
            if name not in known:
                found[name] = package(name, wanted.get(name) or self.versions[0])
                todo += [other for other in self.depends.get(name, ()) if other not in todo]
        return found


def versions(of: Mapping[str, Package]) -> dict[str, str]:
    return {name: one.version for name, one in of.items()}


def test_the_packages_of_an_image_are_those_of_the_lock() -> None:
    archive: Any = Archive()
    free = resolved(archive, ["openssh-server"], {})
    assert set(free.versions) == {
        *("dpkg", "base-files", "libc6", "apt", "debian-archive-keyring", "openssh-server", "libcrypt1", *FAKEROOT)
    }
    assert set(free.versions.values()) == {"2"}
    older = dict.fromkeys(free.versions, "1")
    found = resolved(archive, ["openssh-server"], older)
    assert found.versions == older, "dependencies and the installer's own included"
    assert versions(found.base) == {"dpkg": "1", "base-files": "1", "libc6": "1"}
    assert versions(found.apart) == dict.fromkeys(FAKEROOT, "1")
    assert not found.found.keys() & {*FAKEROOT}, "what only the installer needs is not in the new system"
    more = resolved(archive, ["openssh-server", "tcpdump"], older)
    assert more.versions == {**older, "tcpdump": "2"}, "what a lock does not name is as new as the archive"


class Images:
    """Images that are made at once; notes the versions that each was to have."""

    def __init__(self) -> None:
        self.made: list[Mapping[str, str]] = []

    def make(
        self, image: DiskImage, _layer: bytes, _tools: Toolchain, locked: Mapping[str, str], in_force: str, _say: Any
    ) -> None:
        self.made.append(locked)
        note = {"toolchain": in_force, "packages": dict(locked) or {"libc6": "2"}}
        image.path.with_name(image.path.name + disk.NOTE).write_text(json.dumps(note))
        partial = image.path.with_name("partial")
        partial.write_bytes(os.urandom(4))
        seal.publish_sealed(partial, image.path)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Images:
    found = Images()
    (tmp_path / "ssh").mkdir()
    keys = Keys(tmp_path / "ssh")
    for file in ("id_ed25519", "host_ed25519"):
        (keys.folder / file).write_text(f"secret {file}\n")
        (keys.folder / f"{file}.pub").write_text(f"ssh-ed25519 {file}\n")
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Toolchain, "extended", lambda toolchain, *_names, **_rest: toolchain)
    monkeypatch.setattr(Keys, "get", classmethod(lambda _cls, _tools: keys))
    monkeypatch.setattr(disk, "_make", found.make)
    return found


def toolchain(key: str = "a", suite: str = "", **packages: str) -> Toolchain:
    """A toolchain, in force by a lock file that names the packages of the image, if any are given."""
    lock = LockFile("trixie", "amd64", "", "", {"make": "1"}, images={"debian": packages}) if packages else None
    return Toolchain(Path("/tree"), key, lock=lock, suite=suite)


def test_a_lock_file_governs_the_image(images: Images) -> None:
    """Regression: an image had the newest packages, whatever the lock file in force was."""
    free = DiskImage.get("debian", toolchain())
    assert DiskImage.get("debian", toolchain()).path == free.path
    assert images.made == [{}]
    assert DiskImage.get("debian", toolchain(libc6="2")).path == free.path, "it has these versions"
    locked = DiskImage.get("debian", toolchain(libc6="1"))
    assert locked.path != free.path
    assert DiskImage.get("debian", toolchain("b", libc6="1")).path == locked.path
    assert images.made == [{}, {"libc6": "1"}]
    assert DiskImage.get("debian", toolchain()).path == free.path
    assert DiskImage.get("debian", toolchain("b")).path not in (free.path, locked.path), "setup --update renews it"
    assert images.made == [{}, {"libc6": "1"}, {}]


def test_the_image_under_a_kernel_of_another_suite_is_that_of_the_default_one(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toolchain, "made", classmethod(lambda _cls, suite="": toolchain(libc6="1")))
    first = DiskImage.get("debian", toolchain("sids", "sid"))
    assert first.path == DiskImage.get("debian", toolchain(libc6="1")).path
    monkeypatch.setattr(Toolchain, "made", classmethod(lambda _cls, suite="": None))
    assert DiskImage.get("debian", toolchain("sids", "sid")).path != first.path
    assert images.made == [{"libc6": "1"}, {}]


def test_a_lock_file_is_told_the_packages_of_images(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Resolved({}, {"libc6": package("libc6", "3")}, {})
    monkeypatch.setattr(disk, "resolved", lambda *_: listed)
    assert disk.versions_of(toolchain()) == {}
    assert disk.versions_of(toolchain(), all_images=True) == {"debian": {"libc6": "3"}}, "as the lists are"
    DiskImage.get("debian", toolchain())
    assert disk.versions_of(toolchain(), all_images=True) == {"debian": {"libc6": "2"}}, "as it is"
    assert disk.versions_of(toolchain("b")) == {}, "an image of before an update is not this setup's"
    assert disk.versions_of(toolchain("b", libc6="1")) == {"debian": {"libc6": "1"}}, "as the lock in force says"


def test_a_lock_file_with_images_is_read_and_written(tmp_path: Path) -> None:
    lock = LockFile("trixie", "amd64", "", "", {"make": "1"}, images={"debian": {"libc6": "2.41-12"}})
    file = tmp_path / "lock.json"
    file.write_text(json.dumps(lock.as_data()))
    assert LockFile.read(file, "trixie", "amd64") == lock
    assert LockFile.of_data({"packages": {"make": "1"}}).images == {}, "of an older r4l"
    for images in (["debian"], {"debian": ["libc6"]}, {"debian": {"libc6": 2}}, {"debian": {"$(reboot)": "2"}}):
        with pytest.raises(ValueError, match=r"images are not packages by their image|is not a package"):
            LockFile.of_data({"packages": {"make": "1"}, "images": images})
