# SPDX-License-Identifier: MIT
"""Drivers as commits and as patches."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from r4l import resources
from r4l.cli.ide import not_ignored
from r4l.errors import EnvironmentFault, UsageError
from r4l.graft import git as graft_git
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


def hook(repository: Path, name: str, script: str) -> None:
    file = repository / ".git/hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"#!/bin/sh\n" + script.encode("latin-1"))
    file.chmod(0o755)


@pytest.mark.parametrize("name", ["post-commit", "pre-commit"])
def test_a_hook_may_print_anything(name: str, repository: Path, git: Callable[..., str]) -> None:
    """Regression: a byte that is not UTF-8 had a driver taken out again, whose commit was made."""
    hook(repository, name, "echo café; echo café >&2\n")
    done = graft(HELLO, repository)
    assert done.commit == git(repository, "rev-parse", "HEAD").strip()
    assert git(repository, "status", "--porcelain") == ""
    hook(repository, "pre-commit", "echo café >&2; exit 1\n")
    with pytest.raises(EnvironmentFault, match="caf\ufffd"):
        remove("hello", repository)
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("removing", [False, True])
def test_an_interrupt_behind_the_commit(
    removing: bool, repository: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]
) -> None:
    """Regression: the commit stayed, and the work tree was as if it had not been made."""
    if removing:
        graft(HELLO, repository)
    before = git(repository, "rev-parse", "HEAD")
    commit = graft_git.commit

    def interrupted(*arguments: object) -> None:
        commit(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(graft_git, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remove("hello", repository) if removing else graft(HELLO, repository)
    monkeypatch.setattr(graft_git, "commit", commit)
    assert git(repository, "rev-parse", "HEAD") != before
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "samples/rust/hello.rs").exists() != removing
    if not removing:
        assert remove("hello", repository).commit, "it is known as committed"


def test_a_hook_that_changes_a_file_and_refuses(repository: Path, git: Callable[..., str]) -> None:
    """Regression: the error was that of taking the driver out, and git's index kept the new file."""
    hook(repository, "pre-commit", "echo '// style' >> samples/rust/hello.rs; echo bad style >&2; exit 1\n")
    with pytest.raises(EnvironmentFault, match="bad style") as caught:
        graft(HELLO, repository)
    assert "the driver is in the tree until --remove: samples/rust/hello.rs changed since" in caught.value.detail
    assert "?? samples/rust/hello.rs" in git(repository, "status", "--porcelain")


@pytest.mark.parametrize("named", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"])
def test_a_repository_of_the_environment(
    named: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]
) -> None:
    """Regression: called by a hook or by `git rebase --exec`, the commit went into their repository."""
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    inner = {"GIT_INDEX_FILE": "index", "GIT_OBJECT_DIRECTORY": "objects"}.get(named, "")
    monkeypatch.setenv(named, str(other if named == "GIT_WORK_TREE" else other / ".git" / inner))
    done = graft(HELLO, repository)
    monkeypatch.delenv(named)
    assert done.commit == git(repository, "rev-parse", "HEAD").strip()
    assert git(repository, "status", "--porcelain") == ""
    assert git(other, "count-objects") == "0 objects, 0 kilobytes\n"


def test_the_repositorys_variables_are_all_of_gits() -> None:
    named = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    kept = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    assert {*named.stdout.split()} - kept <= graft_git.OF_ANOTHER


def test_gits_words_are_understood_in_every_language(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: in a German terminal, a tree without git was an error of the environment."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    seen: list[str | None] = []
    run = subprocess.run

    def noted(argv: list[str], **more: object) -> object:
        seen.append(more["env"]["LC_ALL"])  # type: ignore[index]
        return run(argv, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", noted)
    with pytest.raises(UsageError, match="is not a git repository"):
        graft(HELLO, tree, commit=True)
    assert {*seen} == {"C"}


def test_a_hint_is_no_reason(repository: Path) -> None:
    hook(repository, "pre-commit", "echo the reason >&2; echo 'hint: try again' >&2; exit 1\n")
    with pytest.raises(EnvironmentFault, match=r": the reason\n") as caught:
        graft(HELLO, repository)
    assert "hint: try again" in caught.value.detail


def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        for part in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{part}", raising=False)
    for name in ("EMAIL", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def test_a_patch_has_the_author_of_the_tree(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]
) -> None:
    """Regression: the author was that of the current folder's repository."""
    nobody(monkeypatch)
    git(repository, "config", "user.name", "Ann")
    git(repository, "config", "user.email", "ann@tree")
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(["git", "init", "-q", elsewhere], check=True)
    git(elsewhere, "config", "user.name", "Bob")
    git(elsewhere, "config", "user.email", "bob@elsewhere")
    monkeypatch.chdir(elsewhere)
    done = graft(HELLO, repository, patch=tmp_path / "x.patch")
    assert "\nFrom: Ann <ann@tree>\n" in (tmp_path / "x.patch").read_text()
    assert (done.author, done.apply) == (None, "git am")
    git(repository, "config", "user.name", os.fsdecode(b"Caf\xe9"))
    with pytest.raises(UsageError, match="is not UTF-8"):
        graft(HELLO, repository, patch=tmp_path / "x.patch")


def test_a_patch_of_a_user_without_a_name(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: in a container with a user who is in no passwd, this was a bug in r4l."""
    nobody(monkeypatch)
    monkeypatch.setattr(graft_git, "identity", lambda _tree: None)
    for missing in (KeyError, OSError):
        monkeypatch.setattr(getpass, "getuser", mock.Mock(side_effect=missing))
        done = graft(HELLO, tree, patch=tmp_path / "x.patch")
        assert done.author == f"{os.getuid()} <{os.getuid()}@localhost>"
        assert f"\nFrom: {done.author}\n" in (tmp_path / "x.patch").read_text()


def test_a_patch_for_files_with_carriage_returns(repository: Path, tmp_path: Path, git: Callable[..., str]) -> None:
    for name in ("Kconfig", "Kbuild"):
        (repository / "drivers/misc" / name).write_bytes(b"# one\r\n# two\r\n")
    git(repository, "-c", "core.autocrlf=false", "commit", "-qam", "odd")
    done = graft(HELLO, repository, wanted="drivers/misc", patch=tmp_path / "x.patch")
    assert done.apply == "git am --keep-cr"
    git(repository, *done.apply.split()[1:], "-q", str(tmp_path / "x.patch"))


def test_the_editors_files_are_looked_for_in_their_own_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `r4l ide` asked the repository of the environment whether its files are ignored."""
    (repository / ".gitignore").write_text("*.json\n")
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    files = [repository / "rust-project.json", repository / "other"]
    assert not_ignored(repository, files) == files[1:]
