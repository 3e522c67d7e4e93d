# SPDX-License-Identifier: MIT
"""Effects of a save."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.watch.project import Project, Work

EVERYTHING = Work(everything=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "blinker"
    (folder / "tests").mkdir(parents=True)
    (folder / "Kbuild").write_text("obj-m := blinker.o\n")
    for name in ("blinker.rs", "tests/test_a.py", "tests/test_b.py", "tests/conftest.py", "tests/helper.py"):
        (folder / name).write_text("")
    return folder


@pytest.fixture
def project(folder: Path) -> Project:
    return Project.of(folder)


@pytest.mark.parametrize("name", ["blinker.rs", "Kbuild", "hw.h", "tests/conftest.py", "tests/helper.py", "pytest.ini"])
def test_a_source_affects_all_tests(project: Project, name: str) -> None:
    assert project.affected([project.folder / name]) == EVERYTHING


def test_a_test_file_affects_itself(project: Project) -> None:
    file = project.folder / "tests/test_a.py"
    assert project.affected([file]) == Work(tests=frozenset({file}))
    both = project.affected([file, project.folder / "tests/test_b.py"])
    assert both.tests == set(project.tests())
    assert not both.everything


def test_a_test_file_that_is_gone_affects_nothing(project: Project) -> None:
    file = project.folder / "tests/test_a.py"
    file.unlink()
    assert not project.affected([file])


@pytest.mark.parametrize(
    "name",
    [
        "4913",  # vim tries whether it may write
        "blinker.rs~",
        ".blinker.rs.swp",
        ".#blinker.rs",
        "#blinker.rs#",
        ".git/index",
        "tests/__pycache__/test_a.py",
        ".venv/lib/test_x.py",
        "blinker.o",
        "blinker.ko",
        "blinker.mod.c",
        ".blinker.o.cmd",
        "Module.symvers",
        "README.md",
        "ping.pcap",
    ],
)
def test_what_is_no_source_affects_nothing(project: Project, name: str) -> None:
    assert not project.affected([project.folder / name])
    assert not project.affected([project.folder.parent / "elsewhere" / name])


def test_a_save_by_rename(project: Project) -> None:
    saved = [project.folder / name for name in ("4913", "blinker.rs~", "blinker.rs")]
    assert project.affected(saved) == EVERYTHING


def test_many_files_at_once(project: Project) -> None:
    saved = [project.folder / "tests/test_a.py", project.folder / "README.md", project.folder / "blinker.rs"]
    assert project.affected(saved).everything


def test_a_folder_that_came_with_all_that_is_in_it(project: Project) -> None:
    new = project.folder / "more"
    new.mkdir()
    assert not project.affected([new])
    (new / "test_c.py").write_text("")
    assert project.affected([new]).tests == {new / "test_c.py"}
    (new / "part.rs").write_text("")
    assert project.affected([new]).everything


def test_what_was_not_run_is_added_to_the_next_run(project: Project) -> None:
    first, second = (Work(tests=frozenset({Path(name)})) for name in ("test_a.py", "test_b.py"))
    assert (first | second).tests == {Path("test_a.py"), Path("test_b.py")}
    assert (EVERYTHING | first).everything
    assert not Work() | Work()


def test_the_tests_of_a_folder(project: Project) -> None:
    (project.folder / ".venv").mkdir()
    (project.folder / ".venv/test_x.py").write_text("")
    (project.folder / "late_test.py").write_text("")
    names = [path.name for path in project.tests()]
    assert names == ["late_test.py", "test_a.py", "test_b.py"]


def test_the_kit_counts_where_it_is_taken_in(project: Project, folder: Path) -> None:
    part = resources.kit().resolve() / "src/kit.rs"
    assert project.kit is None
    assert not project.affected([part])
    (folder / "Kbuild").write_text("obj-m := blinker.o\nblinker-y := main.o\ninclude $(R4L_KIT)/kit.mk\n")
    with_kit = Project.of(folder)
    assert with_kit.affected([part]) == EVERYTHING
    assert with_kit.sources == (with_kit.folder, with_kit.kit)


def test_a_driver_of_the_checkout_has_its_tests_there() -> None:
    assert (
        resources.rust("drivers/e1000").resolve() / "tests/test_link.py"
        in Project.of(resources.rust("drivers/e1000")).tests()
    )
    project = Project.of(resources.rust("drivers/capture"))
    shelf = project.shelf
    assert shelf is not None
    ours = shelf / "vm/test_capture.py"
    assert ours in project.tests()
    assert shelf / "vm/test_net.py" not in project.tests()
    assert project.affected([ours]) == Work(tests=frozenset({ours}))
    assert project.affected([shelf / "conftest.py"]) == EVERYTHING
    assert not project.affected([shelf / "vm/test_net.py", shelf / "unit/conftest.py"])


def test_folders_that_hold_no_module(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no module"):
        Project.of(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        Project.of(tmp_path / "gone")


def repository(top: Path) -> Path:
    """Make the least that git takes for a repository."""
    for name in ("objects", "refs/heads", "refs/tags"):
        (top / ".git" / name).mkdir(parents=True)
    (top / ".git/HEAD").write_text("ref: refs/heads/main\n")
    return top / ".git"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("HEAD", True),
        ("refs/heads/main", True),
        ("refs/tags/v1", True),
        ("packed-refs", True),
        ("HEAD.lock", False),
        ("refs/heads/main.lock", False),
        ("index", False),
        ("refs/stash", False),
        ("refs/remotes/origin/main", False),
        ("logs/HEAD", False),
        ("COMMIT_EDITMSG", False),
    ],
)
def test_files_of_git_that_tell_of_a_commit(folder: Path, name: str, told: bool) -> None:
    git = repository(folder)
    project = Project.of(folder)
    assert project.watched == [folder], "its .git with it"
    assert project.is_commit(git / name) is told
    assert not project.affected([git / name])


def test_a_repository_around_the_folder_is_watched(folder: Path) -> None:
    git = repository(folder.parent)
    project = Project.of(folder)
    assert project.watched == [folder, git]
    assert project.is_commit(git / "HEAD")
    assert not project.affected([git / "HEAD", git / "objects"])
    assert not project.is_commit(folder / "blinker.rs")
