# SPDX-License-Identifier: MIT
"""The kit as a crate of the kernel's tree, at rust/kit: once, for all drivers there."""

from __future__ import annotations

from pathlib import Path

from r4l import resources
from r4l.errors import UsageError
from r4l.graft.changes import Changes

FOLDER = "rust/kit"
SUFFIXES = (".rs", ".c", ".h", ".mk", ".md")
NAMES = ("bindgen_parameters", "Kconfig", ".gitignore")


def files() -> dict[str, str]:
    """Its files as they lie in a kernel's tree."""
    kit = resources.kit()
    paths = (path for path in sorted(kit.rglob("*")) if path.suffix in SUFFIXES or path.name in NAMES)
    return {
        f"{FOLDER}/{path.relative_to(kit).as_posix()}": path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file()
    }


def is_there(tree: Path) -> bool:
    """Whether a tree has it already.

    Raises:
        UsageError: it has another version of it.
    """
    if not (tree / FOLDER).exists():
        return False
    other = [
        path
        for path, text in files().items()
        if not (tree / path).is_file() or (tree / path).read_text(encoding="utf-8") != text
    ]
    if other:
        raise UsageError(
            f"the tree has a kit, and it is not this one: {other[0]} differs",
            "take the drivers that use it out first (--remove), and put them there again",
        )
    return True


def changes(tree: Path) -> Changes:
    """What puts it there."""
    made = Changes(files=files())
    made.add_block(tree, "rust/Makefile", "include $(src)/kit/in-tree.mk\n")
    made.add_block(tree, "drivers/Kconfig", f'source "{FOLDER}/Kconfig"\n')
    return made


def depends() -> list[str]:
    """What a driver must depend on that selects it: `select` does not look at that (Kconfig-language.rst)."""
    lines = files()[f"{FOLDER}/Kconfig"].splitlines()
    line = next(line for line in lines if line.strip().startswith("depends on "))
    return line.strip().removeprefix("depends on ").split(" && ")
