# SPDX-License-Identifier: MIT
"""Profiles: the kernels that r4l can build, as data (profiles/)."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

from r4l import tables
from r4l.errors import UsageError

SHAPE = {"about": str, "base": str, "fragments": [str], "steps": int, "seed?": str}
"""Keys of a profile."""


@dataclass(frozen=True)
class Profile:
    """A kernel to build from source; profiles/profiles.toml explains the attributes."""

    name: str
    about: str
    base: str
    fragments: tuple[str, ...]
    steps: int
    seed: str | None = None

    def texts(self, arch: str) -> list[tuple[str, str]]:
        """Return the fragments for an architecture in order, as pairs of file name and text."""
        found: list[tuple[str, str]] = []
        for fragment in self.fragments:
            for name in (f"{fragment}.config", f"{fragment}.{arch}.config"):
                file = _folder() / name
                if file.is_file():
                    found.append((name, file.read_text(encoding="utf-8")))
        return found


def _folder() -> Traversable:
    return importlib.resources.files(__package__) / "profiles"


@cache
def profiles() -> dict[str, Profile]:
    """Return all profiles by name."""
    text = (_folder() / "profiles.toml").read_text(encoding="utf-8")
    table = tables.read(text, {"*": SHAPE}, "profiles.toml")
    return {
        name: Profile(name=name, **{**entry, "fragments": tuple(entry["fragments"])}) for name, entry in table.items()
    }


def profile(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        UsageError: no profile has that name.
    """
    if name not in profiles():
        raise UsageError(f"unknown profile {name}", f"use one of {', '.join(profiles())}")
    return profiles()[name]
