# SPDX-License-Identifier: MIT
"""Parts that have passed on the very files of the checkout, with the same kernel and settings, so that an interrupted
run can go on where it ended."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from r4l import home
from r4l.errors import R4LError
from r4l.kernel import named
from r4l.selftest import record
from r4l.selftest.parts import Part, Selection
from r4l.selftest.touched import git

KEY = "passed"
"""Key in a part's record: [key of the part, selection]."""
NOT_SETTINGS = ("R4L_HOME", "R4L_COMMAND", "R4L_TOLD_OF_PROOT")
"""Environment variables of r4l that influence no test."""

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
    """Return a key of what can influence a part: files, its kernel with the compilers, settings, Python."""
    chosen = [item for item in sorted(of.items()) if not APART.match(item[0]) or part.is_about(item[0])]
    settings = sorted(item for item in os.environ.items() if item[0].startswith("R4L_") and item[0] not in NOT_SETTINGS)
    words = [word for item in (*chosen, *settings) for word in item]
    return home.content_key(platform.python_version(), _kernel_key(part), *words)


def _kernel_key(part: Part) -> str:
    """Return the key of the kernel that a part needs; empty if it needs none, or if there is none yet."""
    if part.needs is None:
        return ""
    name, arch = part.needs
    try:
        kernel = named.ready(name, arch=arch)
    except R4LError:
        return ""
    return kernel.key if kernel else ""


def keep(part: Part, selection: Selection, now: str) -> None:
    """Record that a part has passed.

    Args:
        now: its key.
    """
    record.keep(part.name, **{KEY: [now, selection]})


def left(parts: Iterable[Part], selection: Selection | None, of: Files) -> list[Part]:
    """Return the parts that have not passed as all is now with this selection of tests, or with all tests."""
    kept = record.load()

    def passed(part: Part) -> bool:
        wanted, now = selection or part.rest or "all", key(part, of)
        return kept.get(part.name, {}).get(KEY) in ([now, wanted], [now, "all"])

    return [part for part in parts if not passed(part)]
