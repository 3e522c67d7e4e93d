# SPDX-License-Identifier: MIT
"""The tree that is in force: a small file beside the trees names it.

A tree's own name is made of its recipe (`debian.toml`) and of the versions in it, so a newer one lies beside it and
takes nothing from those who use the old one; it is in force once the file has been renamed into its place. The file
belongs to one recipe: two checkouts of r4l with different recipes can share a home.

Homes of before had one tree for each recipe, named by it alone. Where no file names another, that tree is in force.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.toolchain.lockfile import LockFile

PACKAGES = "r4l-packages.json"
"""The file in a tree that lists what is in it; its last: a tree that has it is whole."""


@dataclass(frozen=True)
class Current:
    """What is in force for a recipe.

    Attributes:
        tree: the name of the tree's folder.
        lock: what `r4l setup --lock` was given; None where the versions are those that Debian had.
    """

    tree: str
    lock: LockFile | None = None


def read(room: Path, recipe: str) -> Current | None:
    """What is in force; None where there is no tree for this recipe.

    Args:
        room: the folder of the trees.
        recipe: its key.
    """
    named = _read(room / f"{recipe}.json")
    if named and (room / named.tree).is_dir():
        return named
    return Current(recipe) if (room / recipe).is_dir() else None


def write(room: Path, recipe: str, current: Current) -> None:
    """Put a tree in force."""
    final = room / f"{recipe}.json"
    partial = home.temporary(final)
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"tree": current.tree, "lock": current.lock.as_data() if current.lock else None}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    home.publish(partial, final)


def inherited_lock(room: Path, recipe: str) -> LockFile | None:
    """The lock that governs this home where there is no tree of this recipe: its own, or that of the youngest other."""
    known = sorted(room.glob("[0-9a-f]*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in sorted(known, key=lambda path: path.stem != recipe):
        found = _read(path)
        if found:
            return found.lock
    return None


def trees(room: Path, recipe: str) -> list[Path]:
    """The whole trees of a recipe, without those with extras, the youngest first."""
    # The rest of a name is a key, in which no + is.
    found = [path for path in (room / recipe, *room.glob(f"{recipe}-*")) if (path / PACKAGES).is_file()]
    return sorted((path for path in found if "+" not in path.name), key=lambda path: path.stat().st_mtime, reverse=True)


def packages(tree: Path) -> dict[str, str]:
    """What is in a tree, names to versions."""
    loaded: dict[str, str] = json.loads((tree / PACKAGES).read_text(encoding="utf-8"))
    return loaded


def _read(path: Path) -> Current | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tree = data["tree"]
        lock = data["lock"] and LockFile.of_data(data["lock"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Current(tree, lock) if isinstance(tree, str) and Path(tree).name == tree else None
