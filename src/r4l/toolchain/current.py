# SPDX-License-Identifier: MIT
"""The tree in force, named by a small file beside the trees.

A tree's name contains the hashes of its recipe (`debian.toml`) and of its versions, so a newer tree exists beside the
old one, whose users are not disturbed. It is in force once the file has been renamed into place. The file belongs to
one recipe: two checkouts of r4l with different recipes can share a home.

Old homes had one tree per recipe, named by the recipe alone. Without a file, that tree is in force.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from r4l import home
from r4l.toolchain.lockfile import LockFile

PACKAGES = "r4l-packages.json"
"""File in a tree with its packages. It is written last, so a tree that has it is complete."""


@dataclass(frozen=True)
class Current:
    """The tree in force for a recipe.

    Attributes:
        tree: name of the tree's folder.
        lock: argument of `r4l setup --lock`; None if the versions are Debian's at that time.
        suite: the suite of its packages, if it is not the default one.
    """

    tree: str
    lock: LockFile | None = None
    suite: str = ""


def read(room: Path, recipe: str) -> Current | None:
    """Return the tree in force; None if there is no tree for this recipe.

    Args:
        room: folder of the trees.
        recipe: key of the recipe.
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
        lock = current.lock.as_data() if current.lock else None
        json.dump({"tree": current.tree, "lock": lock, "suite": current.suite}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    home.publish(partial, final)


def inherited_lock(room: Path, recipe: str) -> LockFile | None:
    """Return the lock for a home without a tree of this recipe: the recipe's own, or that of the newest other."""
    known = sorted(room.glob("[0-9a-f]*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in sorted(known, key=lambda path: path.stem != recipe):
        found = _read(path)
        if found and not found.suite:
            return found.lock
    return None


def trees(room: Path, recipe: str) -> list[Path]:
    """Return the complete trees of a recipe without extras, newest first."""
    # Names of trees with extras contain a +, which no key does.
    found = [path for path in (room / recipe, *room.glob(f"{recipe}-*")) if (path / PACKAGES).is_file()]
    return sorted((path for path in found if "+" not in path.name), key=lambda path: path.stat().st_mtime, reverse=True)


def packages(tree: Path) -> dict[str, str]:
    """Return the packages in a tree, names to versions."""
    loaded: dict[str, str] = json.loads((tree / PACKAGES).read_text(encoding="utf-8"))
    return loaded


def _read(path: Path) -> Current | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        tree = data["tree"]
        lock = data["lock"] and LockFile.of_data(data["lock"])
        suite = str(data.get("suite", ""))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Current(tree, lock, suite) if isinstance(tree, str) and Path(tree).name == tree else None
