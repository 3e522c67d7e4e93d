# SPDX-License-Identifier: MIT
"""The Makefiles of a folder, read as text without evaluating them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from r4l.errors import UsageError

OBJECTS = re.compile(r"^[^#\n]*(?<![\w-])obj-[my$][^=\n]*=", re.MULTILINE)
"""Objects that a Makefile names, in a line of their own or in one that make expands: `$(eval obj-m += …)`."""
INCLUDE = re.compile(r"^[ \t]*[-s]?include[ \t]+(.+)$", re.MULTILINE)
OPTIONAL = re.compile(r"^[ \t]*obj-\$[({](CONFIG_\w+)", re.MULTILINE)
ABOVE = re.compile(r"(?<![\w-]/)(?:\.\./)+[\w./+@-]*")
MAKEFILES = ("Makefile", "Kbuild")
READ_BY_MAKE = (".mk", *MAKEFILES)
"""Ends of the names of files that make reads."""
SOURCES = (".c", ".S", ".rs")
NAME = re.compile(r"[A-Za-z0-9_]+")
VALUE = re.compile(r"[^\s$#]*")
OWN_FOLDER = re.compile(r"\$[({](?:\w+[)}]|\w+ [^\n]*MAKEFILE_LIST[)}]+)/?")
"""A variable, or a function of make's own place, before an included file: nearly always the module's own folder."""
DEEPEST = 5
"""Depth to which included files are followed."""


def kbuild_of(folder: Path) -> Path | None:
    """Return the file that makes a folder a module's: a Kbuild, or a Makefile with obj-m; None if it has neither.

    obj-m may stand in a file of the folder that the Makefile includes.
    """
    for name in ("Kbuild", "Makefile"):
        file = folder / name
        if file.is_file() and (name == "Kbuild" or any(OBJECTS.search(text) for text in texts(file))):
            return file
    return None


def folders_below(folder: Path) -> list[Path]:
    """Return the folders of modules below a folder that is none, up to two levels deep, as of a project with `src/`."""
    found: list[Path] = []
    for place in (*sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
        if place.is_symlink() or place.name.startswith(".") or any(above in place.parents for above in found):
            continue
        if kbuild_of(place):
            found.append(place)
    return found


def options_of(kbuild: Path) -> set[str]:
    """Return the options of Kconfig that decide whether an object is built: `CONFIG_X` of `obj-$(CONFIG_X)`."""
    return {name for text in texts(kbuild) for name in OPTIONAL.findall(text)}


def options(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return options of Kconfig as make takes them, sorted by their names, which begin with `CONFIG_`.

    Raises:
        UsageError: make would misread a name or a value.
    """
    for name, value in given.items():
        if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise UsageError(f"{name}={value} is not an option of Kconfig", "write NAME=m, y or n, or another value")
    return tuple(sorted((f"CONFIG_{name.removeprefix('CONFIG_')}", value) for name, value in given.items()))


def beside(folder: Path, names: Iterable[str], visible: Sequence[Path]) -> list[Path]:
    """The folders outside of a module's own whose sources it compiles: Kbuild puts the objects beside them.

    They are those with sources that a Makefile names (`../common/a.o`), or that a link in the folder leads to.

    Args:
        names: paths of what lies in the folder.
        visible: the folders outside of which there is nothing for the module.
    """
    found: set[Path] = set()
    for path in (folder / name for name in names):
        if path.is_symlink():
            found |= {path.resolve()} if path.is_dir() else set()
        elif is_makefile(path.name):
            with suppress(OSError):
                text = path.read_text(errors="replace", encoding="utf-8")
                found |= {
                    _folder_of(base / match[0]) for match in ABOVE.finditer(text) for base in {path.parent, folder}
                }
    return sorted(
        place
        for place in found
        if not place.is_relative_to(folder)
        and any(place.is_relative_to(root) for root in visible)
        and _has_sources(place)
    )


def is_makefile(path: str) -> bool:
    """Return True if make reads a file of that name."""
    return path.endswith(READ_BY_MAKE)


def _folder_of(named: Path) -> Path:
    """The folder that a path names, or that its file lies in."""
    path = Path(os.path.normpath(named))
    return (path if path.is_dir() else path.parent).resolve()


def _has_sources(folder: Path) -> bool:
    try:
        return any(file.name.endswith(SOURCES) for file in folder.iterdir())
    except OSError:
        return False


def texts(makefile: Path, depth: int = 0) -> Iterator[str]:
    """Yield the text of a Makefile, and of those that it includes from its own folder."""
    try:
        text = makefile.read_text(errors="replace", encoding="utf-8").replace("\\\n", " ")
    except OSError:
        return
    yield text
    if depth == DEEPEST:
        return
    for match in INCLUDE.finditer(text):
        for word in OWN_FOLDER.sub("", match[1]).split():
            file = makefile.parent / word
            if "$" not in str(file) and file.is_file() and file.resolve().is_relative_to(makefile.parent.resolve()):
                yield from texts(file, depth + 1)
