# SPDX-License-Identifier: MIT
"""A module counts as built only until a file changes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module, unchanged
from r4l.module.unchanged import LastBuild
from r4l.walk import Visit, walk


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


@pytest.mark.parametrize(
    "name",
    [
        *("test_a.py", "sub/a_test.py", "conftest.py", "__pycache__/x.pyc", ".pytest_cache/v/x", ".git/index"),
        *(".a.rs.swp", ".#b.rs", "a.rs~", ".cache/clangd/x"),
    ],
)
def test_what_only_pytest_or_an_editor_reads_is_no_change(folder: Path, known: LastBuild, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("")
    assert unchanged.recall(folder, "key") == list(known.modules)


@pytest.mark.parametrize("name", ["generate.py", "contest_a.rs", "Kbuild", ".config", ".version", "table.bin"])
def test_anything_else_is(folder: Path, known: LastBuild, name: str) -> None:
    (folder / name).write_text("")
    assert unchanged.recall(folder, "key") is None


def test_of_too_many_files_nothing_is_known(folder: Path, known: LastBuild) -> None:
    assert unchanged.stamp([folder], most=1) == known.stamp
    (folder / "b.rs").write_text("")
    assert unchanged.stamp([folder], most=1) is None
    unchanged.remember(dataclasses.replace(known, stamp=None))
    assert unchanged.recall(folder, "key") is None


def test_files_and_folders_that_vanish_while_they_are_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: an editor's temporary file ended a run of `r4l watch`."""

    def editor(*arguments: Any, **words: Any) -> Iterator[Visit]:
        (folder / "4913").write_text("")
        for step in walk(*arguments, **words):
            (folder / "4913").unlink(missing_ok=True)
            if (folder / "sub").exists():
                (folder / "sub").rmdir()
            yield step

    monkeypatch.setattr(unchanged, "walk", editor)
    assert {Path(entry[0]).name for entry in unchanged.stamp([folder]) or ()} == {"a.rs"}


@pytest.mark.parametrize("top", [True, False], ids=["in a git work tree", "in another folder"])
def test_a_build_may_read_all_that_it_sees(tmp_path: Path, top: bool) -> None:
    """Regression: `r4l watch` took a module for up to date whatever had changed outside of its folder."""
    folder = tmp_path / "tree/drivers/mine"
    folder.mkdir(parents=True)
    if top:
        (tmp_path / "tree/.git").mkdir()
    kit = resources.kit().resolve()
    assert Module(folder).inputs() == ((tmp_path / "tree" if top else folder.parent).resolve(), kit)


def test_a_build_in_r4ls_own_home_reads_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    (tmp_path / "grading/mine").mkdir(parents=True)
    assert Module(tmp_path / "grading/mine").inputs()[0] == (tmp_path / "grading/mine").resolve()


def test_builds_that_others_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own kernel, and modules in folders beside, may be built again."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    module = Module(tmp_path / "driver")

    def kernel(place: str) -> Kernel:
        return cast(Kernel, SimpleNamespace(build=tmp_path / place, source=tmp_path / "home/source", key="key"))

    assert module.is_self_contained(kernel("home/build"))
    assert not module.is_self_contained(kernel("linux"))
    output = module.output(kernel("home/build"))
    output.with_name(f"{output.name}.beside").mkdir(parents=True)
    assert not module.is_self_contained(kernel("home/build"))
