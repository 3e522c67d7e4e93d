# SPDX-License-Identifier: MIT
"""Choose a driver's folder in the kernel's tree and its option."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from r4l.errors import UsageError
from r4l.graft.driver import Driver
from r4l.graft.inside import LONGEST, inside, is_plain
from r4l.paths import UNFIT, followed

SAMPLES = PurePosixPath("samples/rust")


@dataclass(frozen=True)
class Place:
    """A place in the tree; all paths are relative to it.

    Attributes:
        folder: receives the sources.
        parent: contains the Kconfig and the Makefile that will name the driver.
        own: True if the folder is the driver's own, with its own Kconfig and Makefile.
        symbol: the option, without CONFIG_.
    """

    folder: PurePosixPath
    parent: PurePosixPath
    own: bool
    symbol: str

    def makefile(self, tree: Path) -> PurePosixPath:
        """Return the parent's Makefile; some folders call it Kbuild."""
        kbuild = self.parent / "Kbuild"
        return kbuild if (tree / kbuild).is_file() else self.parent / "Makefile"

    @property
    def kconfig(self) -> PurePosixPath:
        """The parent's Kconfig."""
        return self.parent / "Kconfig"


def find(tree: Path, driver: Driver, wanted: str | None, symbol: str | None, known: dict[str, bool]) -> Place:
    """Return the wanted place, or the usual one for such a driver.

    Args:
        wanted: an existing folder of the tree (the driver becomes a file or folder in it), or a new folder.
        symbol: the option's name; derived from the module's name if None.
        known: the options that the tree has.

    Raises:
        UsageError: the place or the option is taken, or the parent has no Kconfig or Makefile.
    """
    path = _relative(wanted) if wanted else _usual(driver)
    path = PurePosixPath(inside(tree, str(path)).relative_to(followed(tree)))
    exists = (tree / path).is_dir()
    own = not (driver.single and exists)
    folder = path / driver.name if exists and own else path
    parent = folder.parent if own else folder
    place = Place(folder, parent, own, _symbol(driver, parent, symbol))
    for file in (place.kconfig, place.makefile(tree)):
        if not (tree / file).is_file():
            raise UsageError(
                f"the folder {parent} of the kernel's tree has no {file.name} to name a driver in",
                "give a folder beside other drivers, such as --as drivers/misc",
            )
    target = folder if own else folder / driver.root
    if os.path.lexists(tree / target):
        raise UsageError(f"{target} is in the kernel's tree already", "remove it first (--remove), or use --as")
    if place.symbol in known:
        raise UsageError(f"the kernel has an option {place.symbol} already", "use another: --symbol NAME")
    return place


def _relative(wanted: str) -> PurePosixPath:
    path = PurePosixPath(wanted)
    if not is_plain(str(path)) or UNFIT.search(wanted):
        shown = wanted if len(wanted) <= LONGEST else f"{wanted[:LONGEST]}…"
        raise UsageError(
            f"{shown!r} is not a path inside a kernel's tree", "give one such as drivers/net/foo or samples/rust"
        )
    return path


def _usual(driver: Driver) -> PurePosixPath:
    if driver.single and driver.rust:
        return SAMPLES
    return PurePosixPath("drivers/net" if driver.kit or "net" in driver.uses() else "drivers/misc")


def _symbol(driver: Driver, parent: PurePosixPath, wanted: str | None) -> str:
    if wanted is not None:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", wanted.removeprefix("CONFIG_")):
            raise UsageError(f"{wanted!r} is not a valid option name", "use capital letters, digits and _")
        return wanted.removeprefix("CONFIG_")
    name = driver.name.upper().replace("-", "_")
    if not name.isascii():
        raise UsageError(f"{name} is not a valid option name", "give another: --symbol NAME")
    return f"SAMPLE_RUST_{name.removeprefix('RUST_')}" if parent == SAMPLES else name
