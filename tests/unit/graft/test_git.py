# SPDX-License-Identifier: MIT
"""Drivers as commits and as patches."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import EnvironmentFault, UsageError
from r4l.graft import graft, remove

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


def test_as_a_commit_and_out_by_another(repository: Path, git: Callable[..., str]) -> None:
    (repository / "drivers/net/mine.c").write_text("int mine;\n")
    git(repository, "add", "drivers/net/mine.c")
    done = graft(E1000, repository, commit=True)
    assert git(repository, "rev-parse", "HEAD").strip() == done.commit
    assert git(repository, "status", "--porcelain") == "A  drivers/net/mine.c\n", "the user's own stays as it was"
    assert git(repository, "log", "-1", "--format=%s") == "drivers/net/r4l_e1000: add r4l_e1000\n"
    touched = git(repository, "show", "--name-only", "--format=").split()
    assert sorted(touched) == sorted([*done.new, *done.changed])
    remove("r4l_e1000", repository, commit=True)
    assert git(repository, "diff", "--stat", "HEAD~2", "HEAD") == ""
    assert git(repository, "status", "--porcelain") == "A  drivers/net/mine.c\n"


@pytest.mark.parametrize("staged", [False, True])
def test_dirty_files_are_not_committed(
    repository: Path, staged: bool, texts: Callable[[Path], dict[str, str]], git: Callable[..., str]
) -> None:
    makefile = repository / "samples/rust/Makefile"
    makefile.write_text(makefile.read_text() + "# mine\n")
    if staged:
        git(repository, "add", "samples/rust/Makefile")
    before = texts(repository)
    with pytest.raises(UsageError, match=r"samples/rust/Makefile in .* has uncommitted changes"):
        graft(HELLO, repository, commit=True)
    assert texts(repository) == before
    assert graft(E1000, repository, commit=True).commit, "elsewhere it can be dirty"


def test_a_tree_names_a_program_for_git(repository: Path, git: Callable[..., str], tmp_path: Path) -> None:
    """Regression: git status ran core.fsmonitor of the tree."""
    mark = tmp_path / "ran"
    git(repository, "config", "core.fsmonitor", f"touch {mark}; false")
    graft(HELLO, repository, commit=True)
    remove("hello", repository, commit=True)
    assert not mark.exists()


def no_commits(repository: Path) -> Path:
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    hook.chmod(0o755)
    return hook


def test_a_commit_that_git_refuses(
    repository: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str], git: Callable[..., str]
) -> None:
    no_commits(repository)
    with pytest.raises(EnvironmentFault, match="no commits today"):
        graft(HELLO, repository, commit=True)
    assert texts(repository) == original
    assert git(repository, "status", "--porcelain") == ""


def test_a_removal_that_git_refuses(
    repository: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str], git: Callable[..., str]
) -> None:
    graft(E1000, repository)
    before = texts(repository)
    hook = no_commits(repository)
    with pytest.raises(EnvironmentFault, match="no commits today"):
        remove("r4l_e1000", repository)
    assert texts(repository) == before
    assert git(repository, "status", "--porcelain") == ""
    hook.unlink()
    assert remove("r4l_e1000", repository).commit
    assert texts(repository) == original


def test_a_repository_gets_a_commit_unless_told_otherwise(
    repository: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str], git: Callable[..., str]
) -> None:
    assert graft(HELLO, repository).commit == git(repository, "rev-parse", "HEAD").strip()
    assert remove("hello", repository).commit == git(repository, "rev-parse", "HEAD").strip()
    assert graft(HELLO, repository, commit=False).commit is None
    assert "?? samples/rust/hello.rs" in git(repository, "status", "--porcelain")
    assert remove("hello", repository).commit is None, "it came as none"
    assert git(repository, "status", "--porcelain") == ""
    assert texts(repository) == original


def test_what_git_undid_is_there_no_more(
    repository: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str], git: Callable[..., str]
) -> None:
    graft(E1000, repository)
    git(repository, "branch", "driver")
    git(repository, "reset", "-q", "--hard", "HEAD~1")
    with pytest.raises(UsageError, match="r4l has put no driver r4l_e1000"):
        remove("r4l_e1000", repository)
    graft(HELLO, repository)
    git(repository, "checkout", "-q", "driver")
    remove("r4l_e1000", repository)
    assert texts(repository) == original
    git(repository, "checkout", "-q", "-")
    remove("hello", repository)
    assert texts(repository) == original


def test_a_tree_without_git(tree: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is not a git repository"):
        graft(HELLO, tree, commit=True)
    assert texts(tree) == original


@pytest.mark.parametrize("tool", [["git", "am", "-q"], ["patch", "-s", "-p1", "-i"]])
def test_a_patch_makes_the_same(
    repository: Path,
    tmp_path: Path,
    tool: list[str],
    texts: Callable[[Path], dict[str, str]],
    original: dict[str, str],
    git: Callable[..., str],
) -> None:
    patch = tmp_path / "e1000.patch"
    graft(E1000, repository, wanted="drivers/misc", patch=patch)
    assert texts(repository) == original, "the tree is left alone"
    if shutil.which(tool[0]) is None:
        raise AssertionError(f"this test needs {tool[0]}")
    subprocess.run([*tool, str(patch)], cwd=repository, check=True)
    patched = texts(repository)
    if tool[0] == "git":
        assert git(repository, "log", "-1", "--format=%an <%ae>") == "李 Hua <li@example.org>\n"
        assert git(repository, "log", "-1", "--format=%s") == "drivers/misc/r4l_e1000: add r4l_e1000\n"
    git(repository, "reset", "-q", "--hard", "HEAD~1" if tool[0] == "git" else "HEAD")
    git(repository, "clean", "-qfdx")
    graft(E1000, repository, wanted="drivers/misc")
    assert texts(repository) == patched
