# SPDX-License-Identifier: MIT
"""The git repository that a build sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module.repository import APART, Repository, repository_of

SECRET = "a secret"
CONFIG = f"""\
[core]
\trepositoryformatversion = 1
\tfilemode = true
\tbare = false
\tfsmonitor = /bin/evil
\tsshCommand = evil
\tautocrlf = "input" ; for everybody
[extensions]
\tobjectFormat = sha256
\tpartialClone = origin
[http]
\textraHeader = {SECRET}
[remote "origin"]
\turl = https://user:{SECRET}@host/
\tfilemode = false
"""


def repository(git: Path) -> Path:
    """Make the parts of a repository."""
    for name in ("objects/pack", "refs/heads", "logs", "hooks"):
        (git / name).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text(CONFIG)
    for name in ("index", "packed-refs", "logs/HEAD", "FETCH_HEAD", "hooks/post-checkout"):
        (git / name).write_text(SECRET)
    return git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with a driver in it."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    (project / "drivers/one").mkdir(parents=True)
    repository(project / ".git")
    return project


@pytest.mark.parametrize("folder", ["", "drivers", "drivers/one"])
def test_a_build_sees_what_git_needs_to_read(project: Path, tmp_path: Path, folder: str) -> None:
    found = repository_of(project / folder)
    assert found == Repository(project, project / ".git", project / ".git")
    mounts = found.mounts(tmp_path / "made")
    git = project / ".git"
    skeleton = mounts.pop(git)
    assert mounts == {git / name: git / name for name in ("objects", "refs", "packed-refs", "HEAD", "index")}
    assert sorted(path.name for path in skeleton.iterdir()) == sorted([*(path.name for path in mounts), "config"])
    config = (skeleton / "config").read_text()
    assert SECRET not in config
    assert "evil" not in config
    assert "filemode = true" in config
    assert "autocrlf = input" in config
    assert "objectformat = sha256" in config
    assert "partial" not in config


def test_a_worktree_of_git(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    own = project / ".git/worktrees/other"
    for path in (other, own):
        path.mkdir(parents=True)
    (other / ".git").write_text(f"gitdir: {own}\n")
    for name, text in {"HEAD": "ref: refs/heads/x\n", "index": "", "commondir": "../..\n"}.items():
        (own / name).write_text(text)
    assert repository_of(other) is None, "git knows of no such worktree"
    (own / "gitdir").write_text(f"{other}/.git\n")
    found = repository_of(other)
    assert found == Repository(other, own, project / ".git")
    mounts = found.mounts(tmp_path / "made")
    assert mounts[APART / "HEAD"] == own / "HEAD"
    assert mounts[APART / "objects"] == project / ".git/objects"
    assert mounts[other / ".git"].read_text() == f"gitdir: {APART}\n"


def test_a_submodule(project: Path) -> None:
    inner = project / "drivers/one"
    own = repository(project / ".git/modules/one")
    (inner / ".git").write_text("gitdir: ../../.git/modules/one\n")
    assert repository_of(inner) is None, "that repository is of no submodule here"
    with (own / "config").open("a") as config:
        config.write("[core]\n\tworktree = ../../../drivers/one\n")
    assert repository_of(inner) == Repository(inner, own, own)


def test_submodules_are_not_compared(project: Path, tmp_path: Path) -> None:
    (project / ".gitmodules").write_text('[submodule "lib/a-b"]\n\tpath = lib\n\turl = x\n[submodule "\\"]\n')
    found = repository_of(project)
    assert found is not None
    config = (found.mounts(tmp_path / "made")[project / ".git"] / "config").read_text()
    assert config.startswith('[submodule "lib/a-b"]\n\tignore = all\n[core]\n')


def test_a_repository_of_somebody_else(project: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    (stranger / "sub").mkdir(parents=True)
    (stranger / ".git").write_text(f"gitdir: {project}/.git\n")
    assert repository_of(stranger) is None
    (stranger / ".git").unlink()
    (stranger / ".git").symlink_to(project / ".git")
    assert repository_of(stranger) is None
    (stranger / ".git").unlink()
    (stranger / ".git").mkdir()
    for name in ("HEAD", "objects", "refs"):
        (stranger / ".git" / name).symlink_to(project / ".git" / name)
    assert repository_of(stranger) is None
    for name in ("HEAD", "objects"):
        (stranger / ".git" / name).unlink()
    (stranger / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (stranger / ".git/objects").mkdir()
    found = repository_of(stranger / "sub")
    assert found is not None
    assert stranger / ".git/refs" not in found.mounts(tmp_path / "made"), "a link is no part"


def test_a_work_tree_that_is_not_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert repository_of(project / "drivers/one") is None
    assert repository_of(project) is not None
