# SPDX-License-Identifier: MIT
"""Architectures as data (architectures.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from r4l import resources
from r4l.errors import UsageError


@dataclass(frozen=True)
class Architecture:
    """What the kernel room must know of one; the attributes are explained in architectures.toml."""

    name: str
    uname: str
    debian: str
    kbuild: str
    option: str
    image: str
    built: str
    direct: str
    elf: str
    vermagic: str
    extras: tuple[str, ...]


@cache
def architectures() -> dict[str, Architecture]:
    """All of them by name."""
    table = resources.table(__package__, "architectures.toml")
    return {
        name: Architecture(name=name, **{**entry, "extras": tuple(entry["extras"])}) for name, entry in table.items()
    }


def architecture(name: str) -> Architecture:
    """The one of that name; `aarch64` is `arm64`, as in `uname -m`.

    Raises:
        UsageError: it is not known.
    """
    for entry in architectures().values():
        if name in (entry.name, entry.uname, entry.debian):
            return entry
    raise UsageError(f"unknown architecture {name}", f"use one of {', '.join(architectures())}")
