# SPDX-License-Identifier: MIT
"""The parts of the tests whose files have changed, as many as fit into a time."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable
from pathlib import Path

from r4l.errors import UsageError
from r4l.selftest.parts import Part

DAY = 24 * 60 * 60
"""Seconds before the newest commit in which a commit counts as one of the last, where none is named."""


def changed_files(checkout: Path, since: str | None) -> set[str]:
    """Files that the last commits changed, as paths relative to the checkout's root.

    Args:
        since: the commit to compare with; all commits of the day before the newest one where None.

    Raises:
        UsageError: this is no git checkout, or it has no such commit.
    """
    if since is None:
        begin = int(_git(checkout, "log", "-1", "--format=%ct")) - DAY
        since_then = f"--since={datetime.datetime.fromtimestamp(begin, datetime.UTC).isoformat()}"
        return set(_git(checkout, "log", since_then, "--name-only", "--format=").split("\n")) - {""}
    return set(_git(checkout, "diff", "--name-only", f"{since}...HEAD").split("\n")) - {""}


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        # Paths that are not ASCII as they are, and somebody else's checkout as well (CI's is root's).
        ["git", "-c", "core.quotepath=off", "-c", f"safe.directory={checkout}", "-C", checkout, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if done.returncode != 0:
        raise UsageError(
            f"git cannot tell what has changed: {done.stderr.strip()}", "name a commit of this checkout, or use --only"
        )
    return done.stdout


def within(parts: Iterable[Part], minutes: float) -> tuple[list[Part], list[Part]]:
    """Divide parts into those that can run within a time, the short ones first, and the rest; both in their order."""
    asked = list(parts)
    fitting: set[str] = set()
    for part in sorted(asked, key=lambda part: part.minutes):
        if part.minutes > minutes:
            break
        minutes -= part.minutes
        fitting.add(part.name)
    return [part for part in asked if part.name in fitting], [part for part in asked if part.name not in fitting]
