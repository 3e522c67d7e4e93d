# SPDX-License-Identifier: MIT
"""A module as a user names it: a folder, a .ko file, or the name of a module that the kernel comes with."""

from __future__ import annotations

from pathlib import Path

from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.module.shipped import shipped
from r4l.process import Say, quiet

SHIPPED = "kernel:"
"""Prefix for the name of a module that the kernel ships."""


def named(kernel: Kernel, text: str, base: Path = Path(), *, say: Say = quiet) -> BuiltModule:
    """Return the module of that name, built first if it is a folder.

    Args:
        kernel: kernel that the module is for.
        text: `kernel:NAME`, a .ko file, or a folder with a Kbuild.
        base: folder from which a relative path starts.
        say: receives each line of a build's progress.

    Raises:
        UsageError: the folder does not exist, or the kernel has no such module.
        BuildError: the folder does not build, or the .ko is for another kernel.
    """
    if text.startswith(SHIPPED):
        return shipped(kernel, text.removeprefix(SHIPPED))
    path = base / text
    if path.suffix == ".ko" and path.is_file():
        module = BuiltModule(path.absolute())
        module.check(kernel)
        return module
    return Module(path).build(kernel, say=say)
