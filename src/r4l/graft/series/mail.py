# SPDX-License-Identifier: MIT
"""Write a series as mails: commits in a repository of their own, and `git format-patch`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import EnvironmentFault, UsageError
from r4l.graft import git
from r4l.graft.changes import read_exactly
from r4l.graft.inside import inside


@dataclass(frozen=True)
class Mail:
    """A patch to be written.

    Attributes:
        subject, message: of its commit; without the signature.
        files: changed files of the tree, with their new texts.
    """

    subject: str
    message: str
    files: dict[str, str]


def identity(tree: Path) -> tuple[str, str]:
    """Return the user's name and address as git has them in a tree.

    Raises:
        EnvironmentFault: git is not installed.
        UsageError: git knows no name or no address, or one that is not UTF-8.
    """
    if not shutil.which("git"):
        raise EnvironmentFault("git is not installed", "apt-get install git")
    found = git.identity(tree, guessed=False)
    if found is None:
        raise UsageError(
            "git knows no name and address to sign the patches with",
            'git config --global user.name "Your Name"; git config --global user.email you@example.org',
        )
    return found


def write(source: Path, mails: list[Mail], cover: tuple[str, str], author: tuple[str, str], work: Path) -> list[Path]:
    """Write a series as numbered mails into `work/mails`; return the files, the cover letter first.

    Args:
        source: the tree, which stays as it is.
        cover: subject and text of the cover letter.
        author: name and address.
        work: an empty folder.
    """
    repository = work / "repository"
    repository.mkdir()
    name, address = author
    _git(repository, "init", "--quiet", "--initial-branch=base", ".")
    for key, value in (("user.name", name), ("user.email", address), ("commit.gpgSign", "false")):
        _git(repository, "config", key, value)
    for path in sorted({path for mail in mails for path in mail.files}):
        if inside(source, path).is_file():
            put(repository, path, read_exactly(inside(source, path)))
    _git(repository, "add", "--all", "--force")
    _git(repository, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", "base")
    _git(repository, "checkout", "--quiet", "-b", "series")
    for mail in mails:
        for path, text in mail.files.items():
            put(repository, path, text)
        _git(repository, "add", "--all", "--force")
        message = f"{mail.subject}\n\n{mail.message}\n"
        _git(repository, "commit", "--quiet", "--no-verify", "--signoff", "--message", message)
    subject, text = cover
    _git(repository, "config", "branch.series.description", f"{subject}\n\n{text.strip()}\n")
    mode = "--cover-from-description=subject"
    folder = work / "mails"
    _git(repository, "format-patch", "--quiet", "--cover-letter", mode, "--output-directory", str(folder), "base")
    return sorted(folder.iterdir())


def put(folder: Path, path: str, text: str) -> Path:
    """Write a file of a series below a folder; return it.

    Raises:
        UsageError: the path leads out of the folder, or into git's own (`inside`).
    """
    file = inside(folder, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return file


def _git(folder: Path, *arguments: str) -> str:
    # The user's own hooks, templates and settings of format-patch have no say in the series, nor has an identity in
    # the environment: author and committer are one.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = {**bare, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TEMPLATE_DIR": ""}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        env=own,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise EnvironmentFault(f"git failed: {said[-1]}", "do what git asks for", detail="\n".join(said))
    return done.stdout
