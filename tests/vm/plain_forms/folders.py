# SPDX-License-Identifier: MIT
"""Folders of modules: written, listed, and what was built of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from r4l.module import BuiltModule

C = """\
#include <linux/module.h>
#include "mine.h"
MODULE_DESCRIPTION(MINE);
MODULE_LICENSE("GPL");
"""
OTHER = "int other(void);\nint other(void) { return 1; }\n"
MINE = '#define MINE "mine"\n'
VERSIONED = C.replace("(MINE)", "(VER)").replace('#include "mine.h"\n', "")


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files; `-> TARGET` is a link."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)


Make = Callable[[Path], None]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """All below a folder, with times and sizes."""
    status = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: (found.st_mtime_ns, found.st_size) for name, found in status.items()}


def described(built: BuiltModule) -> str:
    """The module's own description."""
    return built.modinfo["description"][0]


def linked(built: BuiltModule) -> list[str]:
    """The objects that Kbuild linked into a module."""
    return built.path.with_suffix(".mod").read_text(encoding="utf-8").split()


HEAD = "#include <linux/module.h>\n"
LICENSE = 'MODULE_DESCRIPTION("x");\nMODULE_LICENSE("GPL");\n'
