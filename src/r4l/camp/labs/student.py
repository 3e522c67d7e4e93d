# SPDX-License-Identifier: MIT
"""A student's name, and its form in file names."""

from __future__ import annotations

import hashlib
import re

from r4l.camp.labs.workspace import LONGEST, plainly
from r4l.errors import UsageError
from r4l.scaffold import known_names

LONGEST_SLUG = 150
"""Maximum bytes. With a lab's name, a time and two suffixes the name stays below a file system's 255."""
TAKEN = ("index",)
"""Names of pages that belong to no student."""


def require_student(name: str) -> str:
    """Return a student's name with single blanks, if it is printable and not too long.

    Raises:
        UsageError: the name is empty, too long, or has unprintable characters.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST or not name.isprintable():
        raise UsageError(f"{plainly(name)!r} is not a student's name", f"use at most {LONGEST} printable characters")
    return name


def guess_student() -> str:
    """Return git's user name, in any script, else the login's full name, else the login.

    Raises:
        UsageError: none of them is printable.
    """
    for candidate in known_names():
        try:
            return require_student(candidate)
        except UsageError:
            continue
    raise UsageError("your name is unknown", 'give it: --name "Li Hua"')


def slug(name: str) -> str:
    """Return a student's name as part of a file name, in any script. Different names give different results.

    Words separated by single blanks are kept, joined by dashes. All other names get a dot and a hash; the first kind
    never contains a dot.
    """
    if re.fullmatch(r"\w+(?: \w+)*", name) and name.lower() not in TAKEN and len(name.encode()) <= LONGEST_SLUG:
        return name.replace(" ", "-")
    words = re.sub(r"[^\w-]+", "-", name).strip("-") or "student"
    cut = words.encode()[: LONGEST_SLUG - 13].decode(errors="ignore")
    return f"{cut}.{hashlib.sha256(name.encode()).hexdigest()[:12]}"
