# SPDX-License-Identifier: MIT
"""Select the parts of the tests whose files have changed, as many as fit into a time."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable
from pathlib import Path

from r4l.errors import UsageError
from r4l.selftest.parts import Part

DAY = 24 * 60 * 60
"""Seconds before the newest commit within which commits count as recent if none is named."""
NAMES = ("--name-only", "--no-renames")
"""git's options for the names of changed files. Of one that was moved, the old name counts, too: a part may have lost
it."""


def changed_files(checkout: Path, since: str | None) -> set[str]:
    """Return the files that recent commits and uncommitted work changed, as paths relative to the checkout's root.

    Args:
        since: the commit to compare with, from where the branches part; None for all commits of the day before the
            newest one.

    Raises:
        UsageError: the folder is no git checkout, or has no such commit.
    """
    untracked = _files(checkout, "ls-files", "--others", "--exclude-standard")
    if since is None:
        begin = int(git(checkout, "log", "-1", "--format=%ct")) - DAY
        since_then = f"--since={datetime.datetime.fromtimestamp(begin, datetime.UTC).isoformat()}"
        committed = _files(checkout, "log", since_then, *NAMES, "--format=")
        return committed | _files(checkout, "diff", *NAMES, "HEAD") | untracked
    return _files(checkout, "diff", *NAMES, "--merge-base", since) | untracked


def _files(checkout: Path, *arguments: str) -> set[str]:
    command, *rest = arguments
    return set(git(checkout, command, "-z", *rest).split("\0")) - {""}


def git(checkout: Path, *arguments: str) -> str:
    """Return the output of a git command in the checkout.

    Raises:
        UsageError: the command fails.
    """
    done = subprocess.run(
        # Accept a checkout owned by another user (in CI, by root).
        ["git", "-c", f"safe.directory={checkout}", "-C", checkout, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode != 0:
        raise UsageError(
            f"git cannot list the changed files: {done.stderr.strip()}", "name a commit of this checkout, or use --only"
        )
    return done.stdout


def within(parts: Iterable[Part], minutes: float) -> tuple[list[Part], list[Part]]:
    """Split parts into those that fit into a time, short ones first, and the rest; both in their original order."""
    asked = list(parts)
    fitting: set[str] = set()
    for part in sorted(asked, key=lambda part: part.minutes):
        if part.minutes > minutes:
            break
        minutes -= part.minutes
        fitting.add(part.name)
    return [part for part in asked if part.name in fitting], [part for part in asked if part.name not in fitting]
