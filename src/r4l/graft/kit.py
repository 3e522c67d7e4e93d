# SPDX-License-Identifier: MIT
"""The kit as a crate in the kernel's tree, at rust/kit: one copy for all drivers there."""

from __future__ import annotations

from pathlib import Path

from r4l import resources
from r4l.errors import UsageError
from r4l.graft.changes import Changes, read_exactly
from r4l.graft.inside import inside

FOLDER = "rust/kit"
SUFFIXES = (".rs", ".c", ".h", ".mk", ".md")
NAMES = ("bindgen_parameters", "Kconfig", ".gitignore")


def files() -> dict[str, str]:
    """Return the kit's files by their path in a kernel's tree."""
    kit = resources.kit()
    paths = (path for path in sorted(kit.rglob("*")) if path.suffix in SUFFIXES or path.name in NAMES)
    return {
        f"{FOLDER}/{path.relative_to(kit).as_posix()}": path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file()
    }


def is_there(tree: Path) -> bool:
    """True if the tree contains this kit.

    Raises:
        UsageError: the tree contains another version of the kit.
    """
    if not inside(tree, FOLDER).exists():
        return False
    other = [path for path, text in files().items() if not (tree / path).is_file() or read_exactly(tree / path) != text]
    if other:
        raise UsageError(
            f"the tree contains another version of the kit: {other[0]} differs",
            "remove the drivers that use it (--remove), then graft them again",
        )
    return True


def changes(tree: Path) -> Changes:
    """Return the changes that add the kit to a tree.

    Raises:
        UsageError: a link leads out of the tree.
    """
    for path in files():
        inside(tree, path)
    made = Changes(files=files())
    made.add_block(tree, "rust/Makefile", "include $(src)/kit/in-tree.mk\n")
    made.add_block(tree, "drivers/Kconfig", f'source "{FOLDER}/Kconfig"\n')
    return made


def depends() -> list[str]:
    """Return the dependencies that a driver must repeat if it selects the kit: `select` ignores those of the selected
    option (Documentation/kbuild/kconfig-language.rst)."""
    lines = files()[f"{FOLDER}/Kconfig"].splitlines()
    line = next(line for line in lines if line.strip().startswith("depends on "))
    return line.strip().removeprefix("depends on ").split(" && ")
