# SPDX-License-Identifier: MIT
"""A kernel by the name that the user gives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from r4l import home
from r4l.arch import DEFAULT, architecture
from r4l.errors import UsageError
from r4l.kernel import own, stock, tree
from r4l.kernel.debian import VERSIONED
from r4l.kernel.model import Kernel
from r4l.kernel.profile import profiles
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain


def is_path(name: str) -> bool:
    """Whether a name is meant as a path: it has a slash or is a dot."""
    return "/" in name or name in (".", "..")


def ready(name: str = "stock", *, arch: str = DEFAULT) -> Kernel | None:
    """The kernel of that name where nothing is left to be done for it; None where something is.

    Raises:
        UsageError: no kernel can have that name, or the path holds none that is whole.
    """
    arch = architecture(arch).name
    if name == "stock" or VERSIONED.match(name):
        return stock.ready(None if name == "stock" else name, arch)
    toolchain = Toolchain.made()
    if is_path(name):
        return tree.at(Path(name), toolchain) if toolchain else None
    known = own.names()
    if name not in known:
        raise UsageError(f"there is no kernel {name}", f"use one of {', '.join(known)}, a release, or a path")
    return own.ready(name, arch, toolchain) if toolchain else None


def find(name: str = "stock", *, arch: str = DEFAULT, say: Say = quiet) -> Kernel:
    """The kernel of that name; made first, where it is Debian's or a profile's.

    Args:
        name: `stock`, a release of Debian's, a profile, the name of a kernel that was built, or a path to a build
            folder (KDIR), which is used as it is.

    Raises:
        UsageError, EnvironmentFault, BuildError: there is no such kernel, or it cannot be made.
    """
    found = ready(name, arch=arch)
    if found:
        return found
    if name == "stock" or VERSIONED.match(name):
        return stock.get(None if name == "stock" else name, arch=arch, say=say)
    toolchain = Toolchain.get(say)
    if is_path(name):
        return tree.at(Path(name), toolchain)
    recipe = own.recorded(name, architecture(arch).name)
    if recipe is None or recipe.source.is_relative_to(home.home()):
        if name not in profiles() and recipe is None:
            raise UsageError(
                f"the kernel {name} is not built for {arch} with the toolchain that is in force",
                "run `r4l kernel build PROFILE --name NAME`, see its help",
            )
        # Debian's source, which may be another by now.
        fresh = debian_recipe(name, arch, base=recipe.profile.name if recipe else None, say=say)
        recipe = dataclasses.replace(fresh, fragments=recipe.fragments) if recipe else fresh
    return own.build(recipe, toolchain, say)


def debian_recipe(
    name: str, arch: str, *, base: str | None = None, fragments: Sequence[Path] = (), say: Say = quiet
) -> own.Recipe:
    """A recipe with the source of Debian's kernel, fetched first where it is not there.

    Raises:
        UsageError: as `own.recipe`.
        EnvironmentFault: network, disk or mirror.
    """
    folder, release = stock.fetch(None, DEFAULT, say)
    return own.recipe(name, folder / "source", release.version, arch=arch, base=base, fragments=fragments)
