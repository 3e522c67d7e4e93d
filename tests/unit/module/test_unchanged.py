# SPDX-License-Identifier: MIT
"""A module counts as built only until a file changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.module import BuiltModule, unchanged
from r4l.module.unchanged import LastBuild


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/a.rs").write_text("a")
    (tmp_path / "folder/.#a.rs").symlink_to("nobody@nowhere")
    (tmp_path / "a.ko").write_text("")
    return tmp_path / "folder"


@pytest.fixture
def known(folder: Path) -> LastBuild:
    module = BuiltModule(folder.parent / "a.ko")
    known = LastBuild(folder, "key", (folder,), unchanged.stamp([folder]), (module,))
    unchanged.remember(known)
    return known


def test_it_is_recalled_for_its_kernel(folder: Path, known: LastBuild) -> None:
    assert unchanged.recall(folder, "key") == list(known.modules)
    assert unchanged.recall(folder, "other") is None
    assert unchanged.recall(folder / "sub", "key") is None


def replace_with_equal_times(folder: Path) -> None:
    """Put another file of the same size in the place of one; tar gives all files the time of the release."""
    (folder / "b.rs").write_text("b")
    for name in ("a.rs", "b.rs"):
        os.utime(folder / name, ns=((folder / "a.rs").stat().st_mtime_ns,) * 2)
    (folder / "b.rs").replace(folder / "a.rs")


CHANGES: dict[str, Callable[[Path], object]] = {
    "replaced by one of equal time and size": replace_with_equal_times,
    "changed": lambda folder: (folder / "a.rs").write_text("bb"),
    "of another time": lambda folder: os.utime(folder / "a.rs", (1, 1)),
    "new": lambda folder: (folder / "sub/b.rs").write_text(""),
    "gone": lambda folder: (folder / "a.rs").unlink(),
    "module gone": lambda folder: (folder.parent / "a.ko").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_until_something_changes(folder: Path, known: LastBuild, change: str) -> None:
    CHANGES[change](folder)
    assert unchanged.recall(folder, "key") is None


@pytest.mark.parametrize("name", ["test_a.py", "sub/a_test.py", "conftest.py", "__pycache__/x.pyc", ".a.rs.swp"])
def test_what_only_pytest_or_an_editor_reads_is_no_change(folder: Path, known: LastBuild, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    assert unchanged.recall(folder, "key") == list(known.modules)


@pytest.mark.parametrize("name", ["generate.py", "contest_a.rs", "Kbuild"])
def test_anything_else_is(folder: Path, known: LastBuild, name: str) -> None:
    (folder / name).write_text("")
    assert unchanged.recall(folder, "key") is None
