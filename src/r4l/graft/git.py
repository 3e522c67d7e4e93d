# SPDX-License-Identifier: MIT
"""The git repository of a kernel's tree: uncommitted changes, a commit, the head of a patch."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from email.header import Header
from email.utils import formatdate
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError


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
    dirty = _git(tree, "status", "--porcelain", "--untracked-files=all", "--", *paths).stdout.splitlines()
    if dirty:
        files = ", ".join(line[3:] for line in dirty[:4]) + (" …" if len(dirty) > 4 else "")
        raise UsageError(f"{files} in {tree} has uncommitted changes", "commit or stash them first, or use --no-commit")


def commit(tree: Path, paths: list[str], new: list[str], message: str) -> str:
    """Commit the given paths and nothing else; return the commit's id.

    Args:
        new: those of the paths that git does not track yet.

    Raises:
        EnvironmentFault: git refuses.
    """
    if new:
        # --intent-to-add registers the names only: the content never enters the user's index before the commit.
        _git(tree, "add", "--intent-to-add", "--", *new)
    _git(tree, "commit", "--quiet", "--only", "--message", message, "--", *paths)
    return _git(tree, "rev-parse", "HEAD").stdout.strip()


def restore(tree: Path, paths: list[str]) -> None:
    """Restore the files to the last commit."""
    _git(tree, "checkout", "--quiet", "HEAD", "--", *paths)


def forget(tree: Path, new: list[str]) -> None:
    """Remove from the index the new files that were registered for a failed commit."""
    _git(tree, "reset", "--quiet", "--", *new)


def patch_head(message: str) -> str:
    """Return the head of a mail with a patch, in the format of `git format-patch`."""
    subject, _, body = message.partition("\n\n")
    name, address = _identity()
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


def _identity() -> tuple[str, str]:
    if shutil.which("git"):
        done = subprocess.run(
            ["git", "var", "GIT_AUTHOR_IDENT"], capture_output=True, text=True, check=False, encoding="utf-8"
        )
        match = re.match(r"(.*) <(.*)> \d+ [+-]\d+$", done.stdout.strip())
        if done.returncode == 0 and match:
            return match[1], match[2]
    return getpass.getuser(), f"{getpass.getuser()}@localhost"


def _git(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("git"):
        raise EnvironmentFault("git is not installed", "apt-get install git, or use --patch FILE")
    done = subprocess.run(
        # A stranger's tree may name a program there, which each of these commands would run.
        ["git", "-c", "core.fsmonitor=false", "-C", str(tree), *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    if done.returncode != 0:
        if "not a git repository" in done.stderr:
            raise UsageError(f"{tree} is not a git repository", "leave out --commit, or use --patch FILE")
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise EnvironmentFault(
            f"git {arguments[0]} failed in {tree}: {said[-1]}",
            "do what git asks for, or use --no-commit",
            detail="\n".join(said),
        )
    return done
