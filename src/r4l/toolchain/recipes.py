# SPDX-License-Identifier: MIT
"""The recipes of trees: debian.toml as it is for each suite, and the keys and names that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from r4l import home, resources
from r4l.arch import DEFAULT, architecture
from r4l.debian import Archive
from r4l.toolchain import current

BESIDE = ("alternatives", "extras", "sandbox", "suites")
"""Parts of debian.toml that are not in the key of a recipe."""

SHAPE = {
    **dict.fromkeys(("suite", "backports"), str),
    "components": [str],
    "packages": {"*": [str]},
    "sandbox": {"packages": [str]},
    "alternatives": {"*": [str]},
    "extras": {"*": {"packages": [str], "programs?": [str], "foreign?": {"architecture": str, "packages": {"*": str}}}},
    "pins": {"backports_sources": [str]},
    "suites": {"*": {"suite": str, "backports": str, "pins": {"backports_sources": [str]}}},
    "dpkg": {"exclude": [str], "include": [str]},
    "versions": {"*": [str]},
}
"""Keys of debian.toml."""


@cache
def table() -> dict[str, Any]:
    """Read debian.toml."""
    return resources.table(__package__, "debian.toml", SHAPE)


def suites() -> tuple[str, ...]:
    """Return the names of Debian's other suites that have kernels and a toolchain here."""
    return tuple(table()["suites"])


def recipe(suite: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """Return a debian.toml as it is for one of its other suites; unchanged for the empty name."""
    return {**of, **of["suites"][suite]} if suite else dict(of)


def archive_for(debian_arch: str = "", suite: str = "") -> Archive:
    """Return the Debian archive of the tree and the kernels.

    Args:
        debian_arch: Debian's name of an architecture; empty for the toolchain's own.
        suite: one of `suites()`; empty for the default one.
    """
    of = recipe(suite, table())
    return Archive(
        of["suite"],
        of["backports"],
        tuple(of["components"]),
        debian_arch or architecture(DEFAULT).debian,
        tuple(of["pins"]["backports_sources"]),
    )


def recipe_key(of: Mapping[str, Any]) -> str:
    """Return the key of the parts of a debian.toml that affect built files."""
    return home.content_key(json.dumps({part: of[part] for part in of if part not in BESIDE}, sort_keys=True))


def extended_name(
    base: str, extras: Sequence[str], of: Mapping[str, Any], locked: Mapping[str, str] | None = None
) -> str:
    """Return the name of a tree with extras according to a debian.toml; empty if that lacks one of them.

    Args:
        base: name of the tree without extras.
        extras: names of the extras.
        of: the content of the debian.toml.
        locked: versions that a lock file names for packages of the extras. A tree that was made without it has another
            name, unless it has them.
    """
    if not set(extras) <= of["extras"].keys():
        return ""
    recipes = [of["extras"][name] for name in extras]
    plain = "+".join([base, *extras, home.content_key(json.dumps(recipes, sort_keys=True))[:4]])
    if not locked:
        return plain
    there = home.room("toolchain") / plain
    if (there / current.PACKAGES).is_file() and current.packages(there).items() >= locked.items():
        return plain
    return f"{plain}{home.content_key(json.dumps(locked, sort_keys=True))[:8]}"
