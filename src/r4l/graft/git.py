# SPDX-License-Identifier: MIT
"""The git repository of a kernel's tree: uncommitted changes, a commit, the head of a patch."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from email.header import Header
from email.utils import formatdate
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError

OF_ANOTHER = frozenset(
    {
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR", "GIT_GRAFT_FILE"),
        *("GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE"),
        *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
        "GIT_WORK_TREE",
    }
)
"""Variables that name a repository (`git rev-parse --local-env-vars`), without those of the user's settings, which
git's own calls in submodules keep, too."""


def environment() -> dict[str, str]:
    """Return the environment for git in a folder that is named to it.

    A hook, and `git rebase --exec`, have variables that lead git from that folder to the repository that they run for.
    """
    return {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}


def is_top(tree: Path) -> bool:
    """True if a tree is the top of a git repository or worktree."""
    return (tree / ".git").exists()


def require_clean(tree: Path, paths: list[str]) -> None:
    """Refuse a commit that would include the user's own changes.

    Raises:
        UsageError: the tree is no git repository, or one of the paths has uncommitted changes.
        EnvironmentFault: git is not installed.
    """
    top = _git(tree, "rev-parse", "--show-toplevel").stdout.strip()
    if Path(top).resolve() != tree.resolve():
        raise UsageError(f"{tree} is not the top of a git repository", "leave out --commit, or use --patch FILE")
    dirty = _dirty(tree, paths)
    if dirty:
        files = ", ".join(line[3:] for line in dirty[:4]) + (" …" if len(dirty) > 4 else "")
        raise UsageError(f"{files} in {tree} has uncommitted changes", "commit or stash them first, or use --no-commit")


def head(tree: Path) -> str:
    """Return the id of the last commit; empty if there is none."""
    return _git(tree, "rev-parse", "--verify", "--quiet", "HEAD", check=False).stdout.strip()


def has_committed(tree: Path, before: str, paths: list[str]) -> bool:
    """True if the changes of some paths are in a commit, though the call that made it was interrupted.

    Args:
        before: the last commit before that call.
    """
    return head(tree) != before and not _dirty(tree, paths)


def _dirty(tree: Path, paths: list[str]) -> list[str]:
    return _git(tree, "status", "--porcelain", "--untracked-files=all", "--", *paths).stdout.splitlines()


def commit(tree: Path, paths: list[str], new: list[str], message: str) -> None:
    """Commit the given paths and nothing else.

    Args:
        new: those of the paths that git does not track yet.

    Raises:
        EnvironmentFault: git refuses.
    """
    if new:
        # --intent-to-add registers the names only: the content never enters the user's index before the commit.
        _git(tree, "add", "--intent-to-add", "--", *new)
    _git(tree, "commit", "--quiet", "--only", "--message", message, "--", *paths)


def restore(tree: Path, paths: list[str]) -> None:
    """Restore the files to the last commit."""
    _git(tree, "checkout", "--quiet", "HEAD", "--", *paths)


def forget(tree: Path, new: list[str]) -> None:
    """Remove from the index the new files that were registered for a failed commit."""
    _git(tree, "reset", "--quiet", "--", *new)


def patch_head(message: str, author: tuple[str, str]) -> str:
    """Return the head of a mail with a patch, in the format of `git format-patch`.

    Args:
        author: name and address.
    """
    subject, _, body = message.partition("\n\n")
    name, address = author
    lines = [
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
        f"From: {name if name.isascii() else Header(name, 'utf-8').encode()} <{address}>",
        f"Date: {formatdate(localtime=True)}",
        f"Subject: [PATCH] {subject}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        body.rstrip(),
        "---",
        "",
    ]
    return "\n".join(lines) + "\n"


def identity(tree: Path, *, guessed: bool = True) -> tuple[str, str] | None:
    """Return the user's name and address as git has them in a tree; None if git is missing or does not know both.

    Args:
        guessed: take those of the login and the host, too, which git takes where it has not been told.

    Raises:
        UsageError: the name or the address is not UTF-8.
    """
    if not shutil.which("git"):
        return None
    settings = () if guessed else ("-c", "user.useConfigOnly=true")
    done = _git(tree, "var", "GIT_AUTHOR_IDENT", check=False, settings=settings)
    match = re.match(r"(.+) <(.+)> \d+ [+-]\d+$", done.stdout.strip())
    if done.returncode != 0 or not match:
        return None
    try:
        match[0].encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the name or the address that git has for you is not UTF-8: {match[1]!a}, {match[2]!a}",
            'git config --global user.name "Your Name"; git config --global user.email you@example.org',
        ) from error
    return match[1], match[2]


def login() -> tuple[str, str]:
    """Return name and address of a user whom git does not know: those of the login, which a container may not have."""
    try:
        name = getpass.getuser()
    # OSError: since Python 3.13.
    except (KeyError, ImportError, OSError):
        name = str(os.getuid())
    return name, f"{name}@localhost"


def _git(
    tree: Path, *arguments: str, check: bool = True, settings: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    if not shutil.which("git"):
        raise EnvironmentFault("git is not installed", "apt-get install git, or use --patch FILE")
    # Errors of git are told apart by their words; those of the user's hooks are for the user.
    language = {} if arguments[0] == "commit" else {"LC_ALL": "C"}
    done = subprocess.run(
        # A stranger's tree may name a program there, which each of these commands would run.
        ["git", "-c", "core.fsmonitor=false", *settings, "-C", str(tree), *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        # A hook may print anything.
        errors="surrogateescape" if arguments[0] == "var" else "replace",
        env={**environment(), **language, "GIT_LITERAL_PATHSPECS": "1"},
    )
    if check and done.returncode != 0:
        if "not a git repository" in done.stderr:
            raise UsageError(f"{tree} is not a git repository", "leave out --commit, or use --patch FILE")
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        reasons = [line for line in said if line.strip() and not line.startswith("hint:")] or said
        raise EnvironmentFault(
            f"git {arguments[0]} failed in {tree}: {reasons[-1]}",
            "do what git asks for, or use --no-commit",
            detail="\n".join(said),
        )
    return done
