# SPDX-License-Identifier: MIT
"""Effects of a save."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.walk import Visit, walk
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
    assert both.tests == {file, project.folder / "tests/test_b.py"}
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


def test_pytest_finds_the_tests_of_a_folder(project: Project) -> None:
    """As under `r4l test`, by `python_files`, `testpaths` and `norecursedirs`."""
    assert project.tests() == []


@pytest.mark.parametrize(
    "name",
    [
        *("board.dtsi", "Makefile.inc", "Makefile.am", "Kbuild.platforms", "GNUmakefile", "rules.mk", "Kconfig.debug"),
        *("blob.o_shipped", "keymap.c_shipped", "table.inc", "parse.y", "lex.l", "part.cc", "sub/deep/x.S"),
    ],
)
def test_all_that_kbuild_reads_is_a_source(project: Project, name: str) -> None:
    assert project.affected([project.folder / name]) == EVERYTHING


@pytest.mark.parametrize("name", ["Makefile~", "Makefile.orig", "Kbuild.rej", "Makefile.bak", ".Makefile.swp", "x.ko"])
def test_copies_of_makefiles_are_none(project: Project, name: str) -> None:
    assert not project.affected([project.folder / name])


def test_an_environment_of_python_affects_nothing(project: Project) -> None:
    for name in ("env/lib/test_x.py", "env/lib/y.py", "node_modules/z.c"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("")
    assert project.affected([project.folder / "env/lib/test_x.py"])
    (project.folder / "env/pyvenv.cfg").write_text("")
    paths = [project.folder / name for name in ("env", "env/lib/test_x.py", "env/lib/y.py", "node_modules/z.c")]
    assert not project.affected(paths)


def test_links_and_folders_of_strange_names(project: Project, tmp_path: Path) -> None:
    """Regression: a link to itself, and a folder that vanished while it was listed, ended the watch."""
    new = project.folder / "new"
    new.mkdir()
    (new / "test_folder.py").mkdir()
    (new / "test_dangling.py").symlink_to("nowhere")
    (new / "loop").symlink_to("loop")
    (project.folder / "loop.rs").symlink_to("loop.rs")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/x.rs").write_text("")
    (project.folder / "disk").symlink_to(tmp_path / "disk")
    assert not project.affected([new, new / "loop", project.folder / "disk"])
    assert project.affected([project.folder / "loop.rs"]) == EVERYTHING
    assert not project.affected([new / "test_dangling.py", new / "test_folder.py"])


def test_folders_that_vanish_while_they_are_listed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the same."""
    for name in ("a", "b"):
        (project.folder / "new" / name).mkdir(parents=True)
        (project.folder / "new" / name / "x.rs").write_text("")

    def vanishing(*arguments: Any, **words: Any) -> Iterator[Visit]:
        for step in walk(*arguments, **words):
            shutil.rmtree(project.folder / "new", ignore_errors=True)
            yield step

    monkeypatch.setattr("r4l.watch.project.walk", vanishing)
    assert not project.affected([project.folder / "new"])
    assert project.folders() == {project.folder / "tests"}


def test_the_folders_with_sources(project: Project) -> None:
    for name in ("src/hw/regs.rs", "docs/x.md", ".git/hooks/x.py", "env/pyvenv.cfg", "env/x.py"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("")
    assert project.folders() == {project.folder / name for name in ("src", "src/hw", "tests")}


@pytest.fixture
def around(project: Project) -> Project:
    """The project, whose build reads files in the folder around it."""
    top = project.folder.parent
    for name in ("common/ver.h", "common/test_x.py", "VERSION.txt", "other/Kbuild", "tools/sub/x.h"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("")
    read = {top / "common", top / "common/ver.h", top / "VERSION.txt", top / "tools", project.folder / "blinker.rs"}
    return dataclasses.replace(project, around=frozenset(read))


def test_folders_around_are_watched_without_those_in_them(around: Project) -> None:
    top = around.folder.parent
    assert around.watched_around == (top, top / "common", top / "tools")
    (top / "common").rename(top / "away")
    assert dataclasses.replace(around, around=around.around).watched_around == (top, top / "tools")


@pytest.mark.parametrize("name", ["common/ver.h", "common/new.h", "common", "VERSION.txt", "common/a.c", "own.h"])
def test_a_save_around_the_folder_affects_all(around: Project, name: str) -> None:
    """Regression: a header outside of the folder started no run."""
    assert around.affected([around.folder.parent / name]) == EVERYTHING


@pytest.mark.parametrize(
    "name",
    ["common/test_x.py", "common/notes.md", "common/.ver.h.swp", "other/Kbuild", "other", "tools/sub/x.h", "x.ko"],
)
def test_another_save_there_affects_nothing(around: Project, name: str) -> None:
    assert not around.affected([around.folder.parent / name])


def test_the_kit_counts_where_it_is_taken_in(project: Project, folder: Path) -> None:
    part = resources.kit().resolve() / "src/kit.rs"
    assert project.kit is None
    assert not project.affected([part])
    (folder / "Kbuild").write_text("obj-m := blinker.o\nblinker-y := main.o\ninclude $(R4L_KIT)/kit.mk\n")
    with_kit = Project.of(folder)
    assert with_kit.affected([part]) == EVERYTHING
    assert with_kit.watched == [with_kit.folder, with_kit.kit]


def test_a_driver_of_the_checkout_has_its_tests_there() -> None:
    assert Project.of(resources.rust("drivers/e1000")).tests()[0] == resources.rust("drivers/e1000").resolve()
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
