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
        raise UsageError(f"{files} in {tree} has changes that are not committed", "commit or stash them first")


def commit(tree: Path, paths: list[str], message: str) -> str:
    """Commit these paths and nothing else; returns the commit's id.

    Raises:
        EnvironmentFault: git refuses.
    """
    _git(tree, "add", "--", *paths)
    _git(tree, "commit", "--quiet", "--only", "--message", message, "--", *paths)
    return _git(tree, "rev-parse", "HEAD").stdout.strip()


def unstage(tree: Path, paths: list[str]) -> None:
    """Forget what `commit` has added to the index, where it failed."""
    subprocess.run(["git", "-C", str(tree), "reset", "--quiet", "--", *paths], capture_output=True, check=False)


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
        done = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], capture_output=True, text=True, check=False)
        match = re.match(r"(.*) <(.*)> \d+ [+-]\d+$", done.stdout.strip())
        if done.returncode == 0 and match:
            return match[1], match[2]
    return getpass.getuser(), f"{getpass.getuser()}@localhost"


def _git(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("git"):
        raise EnvironmentFault("there is no git on this machine", "apt-get install git, or use --patch FILE")
    done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if "not a git repository" in done.stderr:
            raise UsageError(f"{tree} is no git repository", "leave out --commit, or use --patch FILE")
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise EnvironmentFault(
            f"git {arguments[0]} failed in {tree}: {said[-1]}", "see what git says", detail="\n".join(said)
        )
    return done
