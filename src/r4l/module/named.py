# SPDX-License-Identifier: MIT
"""A module as a user names it: a folder, a .ko file, or the name of a module that the kernel comes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from r4l.errors import UsageError
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
        text: `kernel:NAME`, a .ko file, or a folder with a Kbuild; of several modules there, the driver is meant.
        base: folder from which a relative path starts.
        config: options of Kconfig that a folder is built with.
        say: receives each line of a build's progress.

    Raises:
        UsageError: the folder does not exist or has several drivers, or the kernel has no such module.
        BuildError: the folder does not build, or the .ko is for another kernel.
    """
    if text.startswith(SHIPPED):
        return shipped(kernel, text.removeprefix(SHIPPED))
    path = base / text
    if path.suffix == ".ko" and path.is_file():
        module = BuiltModule(path.absolute())
        module.check(kernel)
        return with_kernels_own(kernel, module)
    return _driver(Module(path, config).build_all(kernel, say=say))


def _driver(built: Sequence[BuiltModule]) -> BuiltModule:
    """Return the one of a folder's modules that the others are for: no other one needs it, or it alone of these has a
    table of PCI devices.

    Raises:
        UsageError: there are several.
    """
    needed = {other.name for module in built for other in module.needs}
    last = [module for module in built if module.name not in needed]
    found = last if len(last) == 1 else [module for module in last if module.of_pci]
    if len(found) != 1:
        raise UsageError(
            f"{built[0].path.parent.name} builds {len(last)} modules that no other one needs: "
            f"{', '.join(module.name for module in last)}",
            "name the .ko of one of them",
        )
    return found[0]


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
