# SPDX-License-Identifier: MIT
"""Visibility of the user's files to a module's build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r4l.module import view, visible
from r4l.module.unseen import unseen
from r4l.module.view import git_folders, note_for, repositories, work_tree

FOLDERS = (
    "me/src/driver",
    "me/.cache/r4l/labs/hello-1",
    "me/.cache/r4l/labs/hello-2",
    "me/hello",
    "me/dotfiles/a/b",
    "tmp/x/y",
    "me/tree/drivers/net/mine",
    "me/tree/vendor/theirs/src",
    "me/tree/inc",
)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the homes of a user and of r4l, and two git work trees, one in the other."""
    for name in FOLDERS:
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "me/.cache/r4l"))
    monkeypatch.setattr(view, "AGAIN", 0)
    (tmp_path / "tmp").chmod(0o1777)
    (tmp_path / "me/tree/.git").mkdir()
    (tmp_path / "me/tree/vendor/theirs/.git").write_text("gitdir: ../../.git/modules/theirs\n")
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "seen"),
    [
        ("me/src/driver", "me/src"),
        ("me/hello", "me/hello"),
        ("me/src", "me/src"),
        ("me", "me"),
        ("me/.cache/r4l/labs/hello-1", "me/.cache/r4l/labs/hello-1"),
        ("tmp/x", "tmp/x"),
        ("tmp/x/y", "tmp/x"),
        ("me/tree/drivers/net/mine", "me/tree"),
        ("me/tree/drivers", "me/tree"),
        # The work tree itself may include files beside it, but has no wider work tree.
        ("me/tree/vendor/theirs", "me/tree/vendor"),
        ("me/tree/vendor/theirs/src", "me/tree/vendor/theirs"),
    ],
)
def test_what_lies_beside_a_folder_is_seen_where_it_is_nobody_elses(places: Path, folder: str, seen: str) -> None:
    assert visible(places / folder) == [places / seen]


@pytest.mark.parametrize("top", ["me", ".", "tmp", "me/.cache", "me/.cache/r4l", "me/.cache/r4l/labs"])
def test_a_work_tree_never_shows_a_home_or_a_shared_folder(places: Path, top: str) -> None:
    before = {name: visible(places / name) for name in FOLDERS if "tree" not in name}
    (places / top / ".git").mkdir()
    assert {name: visible(places / name) for name in before} == before


def test_a_work_tree_of_another_user_is_not_seen(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = places / "me/tree/drivers/net/mine"
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert work_tree(driver) is None
    assert visible(driver) == [driver.parent]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_for_root_a_work_tree_belongs_to_the_owner_of_its_top(places: Path) -> None:
    driver = places / "me/tree/drivers/net/mine"
    os.chown(places / "me/tree/.git", 1234, 1234)
    assert visible(driver) == [driver.parent]
    os.chown(places / "me/tree", 1234, 1234)
    assert visible(driver) == [places / "me/tree"]


def test_at_the_top_of_the_file_system() -> None:
    assert visible(Path("/usr")) == [Path("/usr")]


def test_git_folders_are_those_with_a_configuration(places: Path) -> None:
    tree = places / "me/tree"
    (tree / "other/.git").mkdir(parents=True)
    (tree / "linked").mkdir()
    (tree / "linked/.git").symlink_to(tree / "other/.git")
    (tree / "link").symlink_to(tree / "other")
    assert set(git_folders(tree, deep=True)) == {Path(".git"), Path("other/.git")}
    assert list(git_folders(tree, deep=False)) == [Path(".git")]
    assert not list(git_folders(places / "gone", deep=True))


REPOSITORIES = (".git", "group/secret/.git", "a/b/c/d/.git", "clone.git", "vendor/store", "group/node_modules/x/.git")
"""git's own folders in a work tree: of repositories in it, bare ones, and those apart from their work trees."""


def _repositories(tree: Path) -> set[str]:
    found = repositories(tree, note_for(tree / "drivers"))
    assert found is not None
    return {str(path.relative_to(tree)) for path in found}


def test_gits_folders_are_found_however_deep(places: Path) -> None:
    """Regression: a build could read those two levels down, with the credentials in their configuration."""
    tree = places / "me/tree"
    note_for(tree / "drivers").parent.mkdir(parents=True)
    for name in REPOSITORIES:
        for part in ("objects", "refs"):
            (tree / name / part).mkdir(parents=True, exist_ok=True)
        (tree / name / "HEAD").touch()
    (tree / "objects").mkdir()
    (tree / "link").symlink_to("group")
    for _ in range(2):
        assert _repositories(tree) == set(REPOSITORIES)
    os.utime(tree / "inc", (1, 1))
    assert _repositories(tree) == set(REPOSITORIES)
    (tree / "inc/new/.git").mkdir(parents=True)
    (tree / "clone.git").rename(tree / "inc/old.git")
    assert _repositories(tree) == {*REPOSITORIES, "inc/new/.git", "inc/old.git"} - {"clone.git"}


def test_what_did_not_change_is_not_listed_again(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = places / "me/tree"
    note_for(tree / "drivers").parent.mkdir(parents=True)
    for folder, _, _ in os.walk(tree):
        os.utime(folder, (1, 1))
    _repositories(tree)
    monkeypatch.setattr(os, "scandir", lambda folder: pytest.fail(f"{folder} is listed"))
    assert _repositories(tree) == {".git"}
    note_for(tree / "drivers").write_text("")
    monkeypatch.undo()
    assert _repositories(tree) == {".git"}


@pytest.mark.parametrize("bound", ["MOST_FOLDERS", "MOST_REPOSITORIES"])
def test_where_gits_folders_are_too_many_to_find_only_the_folder_is_seen(
    places: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    driver = places / "me/tree/drivers/net/mine"
    for number in range(5):
        (places / f"me/tree/some/{number}/.git").mkdir(parents=True)
    assert visible(driver) == [places / "me/tree"]
    monkeypatch.setattr(view, bound, 4)
    assert visible(driver) == [driver]


@pytest.mark.parametrize(
    ("makefile", "place", "name"),
    [
        ("ccflags-y += -I$(src)/../../inc\n", "x.c", "a.h"),
        ("TOP := $(src)/../..\nccflags-y += -I$(TOP)/inc\n", "x.c", "a.h"),
        ("TOP := $(src)/../..\nccflags-y += -I$(TOP)\n", "x.c", "inc/a.h"),
        ("ccflags-y += -I{top}/inc\n", "x.c", "a.h"),
        ("", "sub/x.c", "../../../inc/a.h"),
        ("", "", "../../inc/a.h"),
        ("", "", "{top}/inc/a"),
        ("", "Makefile", "{folder}/../../inc/a.h"),
    ],
)
def test_a_file_that_the_build_does_not_see_is_named(places: Path, makefile: str, place: str, name: str) -> None:
    top = places / "me/proj"
    folder = top / "a/b"
    (folder / "sub").mkdir(parents=True)
    (top / "inc").mkdir()
    for header in ("a.h", "a.c"):
        (top / "inc" / header).touch()
    (folder / "Makefile").write_text("obj-m := x.o\n" + makefile.format(top=top))
    found = unseen(folder, place, name.format(top=top, folder=folder))
    assert found is not None
    assert found["path"] in (str(top / "inc/a.h"), str(top / "inc/a.c"))
    assert found["found"] == str(top / "a")
    assert (
        found["now"]
        == f"make {top} a git work tree (`git init`), which a build sees as a whole; or copy it into {top}/a"
    )
    (top / ".git").mkdir()
    assert unseen(folder, place, name.format(top=top, folder=folder)) is None, "it is seen now"


def test_the_remedy_names_no_work_tree_that_would_not_be_seen(places: Path) -> None:
    for top in ("me", "me/tree/vendor"):
        (places / top / "a.h").touch()
    driver = places / "me/src/driver"
    (driver / "Kbuild").write_text("ccflags-y += -I$(src)/../..\n")
    found = unseen(driver, "x.c", "a.h")
    assert found is not None
    assert found["now"] == f"copy it into {driver.parent}"
    theirs = places / "me/tree/vendor/theirs/src"
    (theirs / "Kbuild").write_text("ccflags-y += -I$(src)/../..\n")
    found = unseen(theirs, "x.c", "a.h")
    assert found is not None
    assert found["now"] == f"copy it into {theirs.parent}", "the module has a work tree of its own"


def test_a_file_that_nobody_has_is_not_unseen(places: Path) -> None:
    driver = places / "me/src/driver"
    (driver / "Kbuild").write_text("ccflags-y += -I$(src)/../../inc\n")
    assert unseen(driver, "x.c", "gone.h") is None
    assert unseen(driver, "x.c", "../../") is None
