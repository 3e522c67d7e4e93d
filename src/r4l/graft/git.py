# SPDX-License-Identifier: MIT
"""The tree's git: what is dirty, a commit, the head of a patch."""

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
    """Whether a tree is the top of a git repository, or of a worktree of one."""
    return (tree / ".git").exists()


def require_clean(tree: Path, paths: list[str]) -> None:
    """Refuse to commit where the user's own changes would go along.

    Raises:
        UsageError: no git repository, or one of the paths has changes that are not committed.
        EnvironmentFault: no git.
    """
    top = _git(tree, "rev-parse", "--show-toplevel").stdout.strip()
    if Path(top).resolve() != tree.resolve():
        raise UsageError(f"{tree} is not the top of a git repository", "leave out --commit, or use --patch FILE")
    dirty = _git(tree, "status", "--porcelain", "--untracked-files=all", "--", *paths).stdout.splitlines()
    if dirty:
        files = ", ".join(line[3:] for line in dirty[:4]) + (" …" if len(dirty) > 4 else "")
        raise UsageError(
            f"{files} in {tree} has changes that are not committed", "commit or stash them first, or --no-commit"
        )


def commit(tree: Path, paths: list[str], new: list[str], message: str) -> str:
    """Commit these paths and nothing else; returns the commit's id.

    Args:
        new: those of them that git does not know.

    Raises:
        EnvironmentFault: git refuses.
    """
    if new:
        # Only told of: what the files hold goes into the commit, and never into the user's index before it.
        _git(tree, "add", "--intent-to-add", "--", *new)
    _git(tree, "commit", "--quiet", "--only", "--message", message, "--", *paths)
    return _git(tree, "rev-parse", "HEAD").stdout.strip()


def restore(tree: Path, paths: list[str]) -> None:
    """Have these files as the last commit has them."""
    _git(tree, "checkout", "--quiet", "HEAD", "--", *paths)


def forget(tree: Path, new: list[str]) -> None:
    """Have git forget the new files that it was told of for a commit that did not come."""
    _git(tree, "reset", "--quiet", "--", *new)


def patch_head(message: str) -> str:
    """The head of a mail with a patch, as `git format-patch` writes it."""
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
        raise EnvironmentFault("there is no git on this machine", "apt-get install git, or use --patch FILE")
    done = subprocess.run(
        ["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if done.returncode != 0:
        if "not a git repository" in done.stderr:
            raise UsageError(f"{tree} is no git repository", "leave out --commit, or use --patch FILE")
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise EnvironmentFault(
            f"git {arguments[0]} failed in {tree}: {said[-1]}",
            "do what git asks for, or --no-commit",
            detail="\n".join(said),
        )
    return done
