# SPDX-License-Identifier: MIT
"""Parts that have passed on the very files of the checkout, so that an interrupted run can go on where it ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from r4l import home
from r4l.selftest import seconds
from r4l.selftest.parts import Part, Selection
from r4l.selftest.touched import git

KEY = "passed"
"""Key in a part's record: [key of the checkout's files, selection]."""


def files_key(checkout: Path) -> str:
    """Return a key of the content of all files of the checkout: the commit's, the changes to them and new files.

    Raises:
        UsageError: the folder is no git checkout.
    """
    new = git(checkout, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    contents: list[str | Path] = []
    for name in filter(None, new):
        # A link may lead nowhere, or to a folder.
        contents += [name, checkout / name if (checkout / name).is_file() else ""]
    return home.content_key(git(checkout, "rev-parse", "HEAD^{tree}"), git(checkout, "diff", "HEAD"), *contents)


def keep(part: Part, selection: Selection, key: str) -> None:
    """Record that a part has passed on these files."""
    seconds.keep(part.name, **{KEY: [key, selection]})


def left(parts: Iterable[Part], selection: Selection | None, key: str) -> list[Part]:
    """Return the parts that have not passed on these files with this selection of tests, or with all tests."""
    kept = seconds.load()

    def passed(part: Part) -> bool:
        wanted = selection or part.rest or "all"
        return kept.get(part.name, {}).get(KEY) in ([key, wanted], [key, "all"])

    return [part for part in parts if not passed(part)]
