# SPDX-License-Identifier: MIT
"""Folders that no path can name, that are closed, or that move meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.pci.client import open_files

from r4l import home
from r4l.module.products import require_own
from r4l.walk import walk

DEPTH = 3000
"""More than calls of functions, open files, and parts of a path may be."""


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed in any case: pytest cannot remove what `dig` makes."""
    folder = tmp_path / "top"
    folder.mkdir()
    yield folder
    home.remove(folder)


def dig(top: Path, depth: int = DEPTH, name: str = "a") -> None:
    """Make folders that lie in each other, and a file in the last one."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("last", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize(("depth", "name"), [(DEPTH, "a"), (40, "a" * 200)])
def test_each_folder_is_entered_and_left_once(top: Path, depth: int, name: str) -> None:
    dig(top, depth, name)
    (top / "b/c").mkdir(parents=True)
    before = sum(open_files().values())
    entered, left, files = 0, 0, 0
    for step in walk(top):
        entered += not step.left
        left += bool(step.left)
        files += sum(entry.is_file(follow_symlinks=False) for entry in step.entries)
    assert (entered, left, files) == (depth + 3, depth + 2, 1)
    assert sum(open_files().values()) <= before
    home.remove(top)
    assert not top.exists()


def test_deep_folders_of_a_build_stop_nothing(top: Path) -> None:
    """Regression: a folder of 1,500 in each other was an internal error at each build, and `r4l clean` failed, too."""
    dig(top)
    require_own(top)
    home.settle_times(top)
    home.remove(top)
    assert not top.exists()


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "user/sub").mkdir(parents=True)
    (tmp_path / "user/sub/file").touch()
    (tmp_path / "top/x").mkdir(parents=True)
    for link in ("top/link", "top/x/link"):
        (tmp_path / link).symlink_to(tmp_path / "user")
    assert sum(1 for step in walk(tmp_path / "top") if not step.left) == 2
    assert not list(walk(tmp_path / "top/link"))
    home.remove(tmp_path / "top")
    assert (tmp_path / "user/sub/file").exists()


def test_a_folder_that_is_moved_meanwhile(tmp_path: Path) -> None:
    for name in ("a", "b/c/d", "e"):
        (tmp_path / "top" / name).mkdir(parents=True)
    seen = []
    for step in walk(tmp_path / "top"):
        if not step.left:
            seen.append(step.inner)
        if step.inner == "b/c/d":
            (tmp_path / "top/b/c").rename(tmp_path / "elsewhere")
    assert set(seen) == {"", "a", "b", "b/c", "b/c/d", "e"}


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is closed to root")
@pytest.mark.parametrize("mode", [0, 0o300, 0o400, 0o600, 0o500])
def test_closed_folders_are_told_and_can_be_removed(tmp_path: Path, mode: int) -> None:
    inner = tmp_path / "top/closed/inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.parent.chmod(mode)
    closed = [step.closed for step in walk(tmp_path / "top") if step.closed]
    assert closed == ([] if mode == 0o500 else ["closed"])
    home.remove(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_folders_that_are_not_entered(top: Path) -> None:
    for name in ("a/x", "a/b/x", "skip/x", "a/skip/b/x"):
        (top / name).mkdir(parents=True)
    assert {step.inner for step in walk(top, skip={"skip"}) if not step.left} == {"", "a", "a/x", "a/b", "a/b/x"}
    assert {"skip", "a"} <= {
        entry.name for step in walk(top, skip={"skip"}) if not step.inner for entry in step.entries
    }
