# SPDX-License-Identifier: MIT
"""Where in the kernel's tree a driver goes, and under which option."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from r4l.errors import UsageError
from r4l.graft.driver import Driver

SAMPLES = PurePosixPath("samples/rust")


@dataclass(frozen=True)
class Place:
    """A place in the tree; all paths are relative to it.

    Attributes:
        folder: gets the sources.
        parent: has the Kconfig and the Makefile that are to name the driver.
        own: whether the folder is the driver's own, with a Kconfig and a Makefile of its own.
        symbol: the option, without CONFIG_.
    """

    folder: PurePosixPath
    parent: PurePosixPath
    own: bool
    symbol: str

    def makefile(self, tree: Path) -> PurePosixPath:
        """The parent's Makefile, which some folders call Kbuild."""
        kbuild = self.parent / "Kbuild"
        return kbuild if (tree / kbuild).is_file() else self.parent / "Makefile"

    @property
    def kconfig(self) -> PurePosixPath:
        """The parent's Kconfig."""
        return self.parent / "Kconfig"


def find(tree: Path, driver: Driver, wanted: str | None, symbol: str | None, known: dict[str, bool]) -> Place:
    """The place that was asked for, or the one where such a driver usually goes.

    Args:
        wanted: a folder of the tree that exists (the driver becomes one of its files or folders), or one to be made.
        symbol: the option's name; from the module's where None.
        known: the options that the tree has.

    Raises:
        UsageError: it cannot go there.
    """
    path = _relative(wanted) if wanted else _usual(driver)
    exists = (tree / path).is_dir()
    own = not (driver.single and exists)
    folder = path / driver.name if exists and own else path
    parent = folder.parent if own else folder
    place = Place(folder, parent, own, _symbol(driver, parent, symbol))
    for file in (place.kconfig, place.makefile(tree)):
        if not (tree / file).is_file():
            raise UsageError(
                f"{parent} of the kernel's tree has no {file.name} that could name a driver",
                "give a folder beside other drivers, such as --as drivers/misc",
            )
    target = folder if own else folder / driver.root
    if (tree / target).exists():
        raise UsageError(f"{target} is in the kernel's tree already", "take it out first (--remove), or use --as")
    if place.symbol in known:
        raise UsageError(f"the kernel has an option {place.symbol} already", "use another: --symbol NAME")
    return place


def _relative(wanted: str) -> PurePosixPath:
    path = PurePosixPath(wanted)
    if path.is_absolute() or ".." in path.parts or not path.parts or re.search(r"[\s:]", wanted):
        raise UsageError(
            f"{wanted!r} is no path inside a kernel's tree", "give one such as drivers/net/foo or samples/rust"
        )
    return path


def _usual(driver: Driver) -> PurePosixPath:
    if driver.single and driver.rust:
        return SAMPLES
    return PurePosixPath("drivers/net" if driver.kit or "net" in driver.uses() else "drivers/misc")


def _symbol(driver: Driver, parent: PurePosixPath, wanted: str | None) -> str:
    if wanted is not None:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", wanted.removeprefix("CONFIG_")):
            raise UsageError(f"{wanted!r} is no name for an option", "use capital letters, digits and _")
        return wanted.removeprefix("CONFIG_")
    name = driver.name.upper().replace("-", "_")
    return f"SAMPLE_RUST_{name.removeprefix('RUST_')}" if parent == SAMPLES else name
