# SPDX-License-Identifier: MIT
"""Hostile bundles for `r4l lab grade`: each is refused by name, writes no file, and costs no memory."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hostile.conftest import World

from r4l.camp.labs import bundle
from r4l.camp.labs.workspace import plainly

TITLE = "\x1b]0;hostile\x07"


def _bomb(archive: zipfile.ZipFile, method: int) -> None:
    archive.writestr("sources/hello.rs", bytes(20 << 20), method)


def _link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("sources/hello.rs")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def _many(archive: zipfile.ZipFile) -> None:
    for number in range(bundle.MOST + 1):
        archive.writestr(f"evidence/{number}", "")


MEMBERS: dict[str, Callable[[zipfile.ZipFile], object]] = {
    "bzip2": lambda archive: _bomb(archive, zipfile.ZIP_BZIP2),
    "lzma": lambda archive: _bomb(archive, zipfile.ZIP_LZMA),
    "deflate": lambda archive: _bomb(archive, zipfile.ZIP_DEFLATED),
    "link": _link,
    "up": lambda archive: archive.writestr("../../../hostile", "x"),
    "absolute": lambda archive: archive.writestr("/tmp/hostile", "x"),
    "title": lambda archive: archive.writestr(f"sources/{TITLE}.rs", "x"),
    "many": _many,
    "markup": lambda archive: archive.writestr("[link=http://hostile.invalid]sources[/]", "x"),
    f"named {TITLE}": lambda archive: archive.writestr("x", "x"),
}
"""Members of the bundles, by name. bzip2 and lzma once took hundreds of MiB; the others were refused."""


@pytest.fixture(scope="module")
def graded(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, bytes, Path]:
    """Exit code of one `r4l lab grade` of all bundles, its output, and the class's folder."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, fill in MEMBERS.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            fill(archive)
    before = len(world.shown)
    code = world.r4l("lab", "grade", *map(str, sorted(folder.glob("*.zip"))), "--into", str(folder / "class"))
    world.settle()
    return code, bytes(world.shown[before:]), folder


@pytest.mark.parametrize("name", MEMBERS)
def test_it_is_refused_by_name(graded: tuple[int, bytes, Path], name: str) -> None:
    code, said, _ = graded
    assert code == 2
    assert f"{plainly(name)}.zip".encode() in said.replace(b"\n", b"").replace(b"\r", b"")


def test_nothing_is_written_and_nothing_obeyed(graded: tuple[int, bytes, Path]) -> None:
    _, said, folder = graded
    assert b"\x1b]" not in said
    assert not (folder / "class").exists()
    assert not [place for place in (folder.parent, folder.parent.parent, Path("/tmp")) if (place / "hostile").exists()]
