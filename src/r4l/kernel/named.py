# SPDX-License-Identifier: MIT
"""Kernels by the user's names for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from r4l import home, moved
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.kernel import own, stock, tree
from r4l.kernel import recipe as recipes
from r4l.kernel.debian import is_debian
from r4l.kernel.model import Kernel
from r4l.kernel.profile import profiles
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain


def is_path(name: str) -> bool:
    """True if a name is a path: it contains a slash or is a dot."""
    return "/" in name or name in (".", "..")


def ready(name: str = "stock", *, arch: str = DEFAULT) -> Kernel | None:
    """Return the kernel of that name if it is ready to use, else None.

    Raises:
        UsageError: the name is unknown, or the path contains no complete kernel.
    """
    arch = architecture(arch).name
    if is_debian(name):
        return stock.ready(None if name == "stock" else name, arch)
    toolchain = Toolchain.made()
    if is_path(name):
        return tree.built_in(Path(name), toolchain) if toolchain else None
    known = own.names()
    if name not in known:
        raise UsageError(f"there is no kernel {name}", f"use one of {', '.join(known)}, a release, or a path")
    return own.ready(name, arch, toolchain) if toolchain else None


def get(name: str = "stock", *, arch: str = DEFAULT, say: Say = quiet) -> Kernel:
    """Return the kernel of that name; a Debian kernel or a profile's is made first if needed.

    Args:
        name: `stock`, a Debian release, flavour or suite, a profile, the name of a built kernel, or the path of a build
            folder (KDIR), which is used unchanged.

    Raises:
        UsageError, EnvironmentFault, BuildError: no such kernel exists, or it cannot be made.
    """
    found = ready(name, arch=arch)
    if found:
        return found
    if is_debian(name):
        return stock.get(None if name == "stock" else name, arch=arch, say=say)
    toolchain = Toolchain.get(say)
    if is_path(name):
        return tree.built_in(Path(name), toolchain)
    recipe = own.recorded(name, architecture(arch).name)
    if recipe is None or recipe.source.is_relative_to(home.home()):
        if name not in profiles() and recipe is None:
            raise UsageError(
                f"the kernel {name} is not built for {arch} with the toolchain that is in force",
                "run `r4l kernel build PROFILE --name NAME`, see its help",
            )
        # Debian's source may be newer than the recorded one.
        fresh = debian_recipe(name, arch, base=recipe.profile.name if recipe else None, say=say)
        recipe = dataclasses.replace(fresh, fragments=recipe.fragments) if recipe else fresh
    return own.build(recipe, toolchain, say)


def debian_recipe(
    name: str, arch: str, *, base: str | None = None, fragments: Sequence[Path] = (), say: Say = quiet
) -> recipes.Recipe:
    """Return a recipe that uses the source of Debian's kernel, downloading it first if needed: that of the lock file in
    force, or the newest on this machine.

    Raises:
        UsageError: as for `recipe.recipe`.
        EnvironmentFault: the network or the mirror is missing, or the disk is full.
    """
    made = Toolchain.made()
    wanted, version = stock.locked(made.lock if made else None, DEFAULT)
    folder, release = stock.fetch(wanted, DEFAULT, say, version=version)
    return recipes.recipe(name, folder / "source", release.version, arch=arch, base=base, fragments=fragments)


if not TYPE_CHECKING:
    __getattr__ = moved.renamed(__name__, {"find": "get"})
