# SPDX-License-Identifier: MIT
"""A module as a user names it: a folder, a .ko file, or the name of a module that the kernel comes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.module.shipped import shipped, with_kernels_own
from r4l.process import Say, quiet

SHIPPED = "kernel:"
"""Prefix for the name of a module that the kernel ships."""


def named(
    kernel: Kernel, text: str, base: Path = Path(), *, config: Mapping[str, str] | None = None, say: Say = quiet
) -> BuiltModule:
    """Return the module of that name, built first if it is a folder, with the modules that must be loaded before it.

    Args:
        kernel: kernel that the module is for.
        text: `kernel:NAME`, a .ko file, or a folder with a Kbuild.
        base: folder from which a relative path starts.
        config: options of Kconfig that a folder is built with.
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
        return with_kernels_own(kernel, module)
    return Module(path, config).build(kernel, say=say)


def labels(texts: Sequence[str], modules: Sequence[BuiltModule]) -> list[str]:
    """Return a distinct name for each module: its own, or where another has that name, the one that the user gave.

    Args:
        texts: the user's names of the modules.
        modules: the modules.
    """
    names = [module.name for module in modules]
    found: list[str] = []
    for place, (name, text) in enumerate(zip(names, texts, strict=True)):
        first = names.index(name) == place
        if texts.count(text) > 1:
            found.append(name if first else f"{name} ({place + 1})")
        else:
            found.append(name if names.count(name) == 1 or (first and name not in texts) else text)
    return found
