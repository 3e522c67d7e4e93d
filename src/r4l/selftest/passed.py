# SPDX-License-Identifier: MIT
"""Parts that have passed on the very files of the checkout, so that an interrupted run can go on where it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from r4l import home
from r4l.selftest import record
from r4l.selftest.parts import Part, Selection
from r4l.selftest.touched import git

KEY = "passed"
"""Key in a part's record: [key of the part's files, selection]."""

APART = re.compile(r"docs/|tests/(?!fixtures/)[^/]+/|rust/drivers/[^/]+/tests/[^/]+\.py$|[^/]+\.md$")
"""Texts, the folders of tests, and the drivers' tests.

These files influence only the parts whose `paths` name them, all others every part.

With that, a mended test or text does not repeat the hours of all other parts.
"""

Files = Mapping[str, str]
"""Files of a checkout, each with a key of its content and mode."""


def files(checkout: Path) -> Files:
    """Return all files of the checkout, new ones too, but those that git ignores.

    Raises:
        UsageError: the folder is no git checkout.
    """
    names = git(checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {name: found for name in names if name and (found := _key(checkout / name))}


def _key(file: Path) -> str:
    """Return a key of a file's kind and content; empty if it was removed."""
    if file.is_symlink():
        return f"-> {file.readlink()}"
    return f"{file.stat().st_mode:o} {home.content_key(file)}" if file.is_file() else ""


def key(part: Part, of: Files) -> str:
    """Return a key of those files that can influence a part."""
    chosen = [item for item in sorted(of.items()) if not APART.match(item[0]) or part.is_about(item[0])]
    return home.content_key(*(word for item in chosen for word in item))


def unchanged(part: Part, of: Files, checkout: Path) -> bool:
    """True if the files that can influence a part are still those."""
    return key(part, of) == key(part, files(checkout))


def keep(part: Part, selection: Selection, of: Files) -> None:
    """Record that a part has passed on these files."""
    record.keep(part.name, **{KEY: [key(part, of), selection]})


def left(parts: Iterable[Part], selection: Selection | None, of: Files) -> list[Part]:
    """Return the parts that have not passed on these files with this selection of tests, or with all tests."""
    kept = record.load()

    def passed(part: Part) -> bool:
        wanted, now = selection or part.rest or "all", key(part, of)
        return kept.get(part.name, {}).get(KEY) in ([now, wanted], [now, "all"])

    return [part for part in parts if not passed(part)]
