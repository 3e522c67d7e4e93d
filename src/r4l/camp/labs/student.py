# SPDX-License-Identifier: MIT
"""A student's name: whose it is, and what it is in the name of a file."""

from __future__ import annotations

import hashlib
import re

from r4l.camp.labs.workspace import LONGEST, plainly
from r4l.errors import UsageError
from r4l.scaffold import known_names

LONGEST_SLUG = 150
"""Bytes. With a lab's name, a time and two suffixes it stays below the 255 that a file system takes."""
TAKEN = ("index",)
"""Names of pages that are no student's."""


def require_student(name: str) -> str:
    """A student's name with plain blanks, if others can read it and it is no longer than names are.

    Raises:
        UsageError: it is empty, too long, or has characters that cannot be printed.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST or not name.isprintable():
        raise UsageError(f"{plainly(name)!r} is no name of a student", f"use at most {LONGEST} printable characters")
    return name


def guess_student() -> str:
    """What git knows as the user's name, in any script, else the login's full name, else the login.

    Raises:
        UsageError: none of them can be printed.
    """
    for candidate in known_names():
        try:
            return require_student(candidate)
        except UsageError:
            continue
    raise UsageError("your name is not known here", 'give it: --name "Li Hua"')


def slug(name: str) -> str:
    """A student's name as part of a file name, in any script; no two names have the same.

    Words with single blanks between them are as they are, with dashes. All others get a hash after a dot, which no such
    words have in them.
    """
    if re.fullmatch(r"\w+(?: \w+)*", name) and name.lower() not in TAKEN and len(name.encode()) <= LONGEST_SLUG:
        return name.replace(" ", "-")
    words = re.sub(r"[^\w-]+", "-", name).strip("-") or "student"
    cut = words.encode()[: LONGEST_SLUG - 13].decode(errors="ignore")
    return f"{cut}.{hashlib.sha256(name.encode()).hexdigest()[:12]}"
