# SPDX-License-Identifier: MIT
"""The Makefiles of a folder, read as text without evaluating them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from r4l.errors import UsageError
from r4l.module.view import visible
from r4l.paths import followed, is_below, leads_to_file, leads_to_folder

OBJECTS = re.compile(r"^(?>[^#\n]*?(?<![\w-])obj-[my$])[^=\n]*+=", re.MULTILINE)
"""Objects that a Makefile names, in a line of their own or in one that make expands: `$(eval obj-m += …)`."""
INCLUDE = re.compile(r"^[ \t]*[-s]?include[ \t]+(.+)$", re.MULTILINE)
OF_MODULES = re.compile(r"^[ \t]*obj-m[ \t]*[:+?]?=([^\n#]*)", re.MULTILINE)
SET = re.compile(r"^[ \t]*(?:export[ \t]+)?(\w{1,64})[ \t]*[:+?]{0,2}=", re.MULTILINE)
USED = re.compile(r"\$[({](\w{1,64})[)}]")
"""A variable's value, without a function of make."""
OPTIONAL = re.compile(r"^[ \t]*obj-\$[({](CONFIG_\w+)", re.MULTILINE)
ABOVE = re.compile(r"(?<![\w-]/)(?:\.\./)+[\w./+@-]*")
MAKEFILES = ("Makefile", "Kbuild")
READ_BY_MAKE = (".mk", *MAKEFILES)
"""Ends of the names of files that make reads."""
SOURCES = (".c", ".S", ".rs")
NAME = re.compile(r"[A-Za-z0-9_]+")
VALUE = re.compile(r"[^\s$#]*")
PIECE = re.compile(r"\$[({]|\$\w|[$(){}]|[^$(){}]+")
"""Begin of a variable or function of make, a variable of one letter, another character that counts, or a text."""
MARK = "\0"
"""Stands for an expansion, whose value only make knows."""
LARGEST = 1 << 20
"""Largest Makefile that is read, in bytes."""
DEEPEST = 5
"""Depth to which included files are followed."""
MOST = 1000
"""Files that are looked for of those that a line includes, and folders of those that a Makefile names."""


def kbuild_of(folder: Path) -> Path | None:
    """Return the file that makes a folder a module's: a Kbuild, or a Makefile with obj-m; None if it has neither.

    obj-m may stand in a file that the Makefile includes, of the folder or of those around it that a build sees.
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


def variables_of(kbuild: Path) -> list[str]:
    """Return the variables that name a folder's modules and that no makefile of it sets: `X` of `obj-m := $(X)`."""
    every = list(texts(kbuild))
    used = dict.fromkeys(name for text in every for line in OF_MODULES.findall(text) for name in USED.findall(line))
    given = {name for text in every for name in SET.findall(text)}
    return [name for name in used if name not in given]


def options(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return options of Kconfig as make takes them, sorted by their names, which begin with `CONFIG_`.

    Raises:
        UsageError: make would misread a name or a value.
    """
    for name, value in given.items():
        if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise UsageError(f"{name}={value} is not an option of Kconfig", "write NAME=m, y or n, or another value")
    return tuple(sorted((f"CONFIG_{name.removeprefix('CONFIG_')}", value) for name, value in given.items()))


def beside(folder: Path, names: Iterable[str], seen: Sequence[Path]) -> list[Path]:
    """Return the folders outside of a module's own whose sources it compiles: Kbuild puts the objects beside them.

    They are those with sources that a Makefile names (`../common/a.o`), or that a link in the folder leads to.

    Args:
        folder: folder of the module.
        names: paths of what lies in the folder.
        seen: folders that the build sees.
    """
    found: set[Path] = set()
    known: set[Path] = set()
    for path in (folder / name for name in names):
        if path.is_symlink():
            found |= {path.resolve()} if path.is_dir() else set()
        elif is_makefile(path.name):
            for makefile, text in included(path, folder, seen, known):
                found |= {_folder_of(place) for place in above(makefile, text, folder)}
    return sorted(
        place
        for place in found
        if not is_below(place, folder) and any(is_below(place, root) for root in seen) and _has_sources(place)
    )


def above(makefile: Path, text: str, folder: Path) -> Iterator[Path]:
    """Yield the places above a Makefile's folder, and above the module's, that its text names; not all of them exist.

    Args:
        makefile: the file.
        text: its text.
        folder: the module's folder.
    """
    ways = dict.fromkeys(match[0] for match in ABOVE.finditer(text))
    for way in islice(ways, MOST):
        yield from (Path(os.path.normpath(base / way)) for base in dict.fromkeys((makefile.parent, folder)))


def is_makefile(path: str) -> bool:
    """Return True if make reads a file of that name."""
    return path.endswith(READ_BY_MAKE)


def _folder_of(path: Path) -> Path:
    """The folder that a path names, or that its file lies in."""
    return followed(path if leads_to_folder(path) else path.parent)


def _has_sources(folder: Path) -> bool:
    try:
        return any(file.name.endswith(SOURCES) for file in folder.iterdir())
    except OSError:
        return False


def texts(makefile: Path) -> Iterator[str]:
    """Yield the text of a Makefile, and of those that it includes from the folders that a build sees."""
    folder = makefile.parent.resolve()
    yield from (text for _, text in included(folder / makefile.name, folder, visible(folder), set()))


def included(
    makefile: Path, folder: Path, seen: Sequence[Path], known: set[Path], depth: int = 0
) -> Iterator[tuple[Path, str]]:
    """Yield a Makefile and those that it includes, each with its text.

    Args:
        makefile: the file.
        folder: the module's folder.
        seen: folders that the build sees; other files are not read.
        known: receives the files, each of which is read once.
        depth: number of files through which this one is included.
    """
    file = followed(makefile)
    if file in known or not any(is_below(file, root) for root in (folder, *seen)):
        return
    known.add(file)
    try:
        if not file.is_file() or file.stat().st_size > LARGEST:
            return
        text = file.read_text(errors="replace", encoding="utf-8").replace("\\\n", " ")
    except OSError:
        return
    yield makefile, text
    if depth == DEEPEST:
        return
    for match in INCLUDE.finditer(text):
        words = dict.fromkeys(expanded(match[1].partition("#")[0]).split())
        for word in islice(words, MOST):
            for place in _places(word, makefile, folder, seen):
                if leads_to_file(place):
                    yield from included(place, folder, seen, known, depth + 1)
                    break


def expanded(text: str) -> str:
    """Return a text of make with a mark in the place of each expansion, the outermost ones.

    One with another parenthesis, brace or dollar sign in it is left as it is.
    """
    found: list[str] = []
    begun: list[int] = []
    for piece in PIECE.findall(text):
        if piece in ("$(", "${"):
            begun.append(len(found))
            found.append(piece)
        elif piece in (")", "}") and begun:
            del found[begun.pop() :]
            found.append(MARK)
        elif len(piece) == 2 and piece[0] == "$":
            found.append(MARK)
        else:
            if piece in ("$", "(", "{"):
                begun.clear()
            found.append(piece)
    return "".join(found)


def _places(word: str, makefile: Path, folder: Path, seen: Sequence[Path]) -> Iterator[Path]:
    """Yield the places at which an included file may lie.

    Behind an expansion, which may be any folder, they are the module's folder and those around it that the build sees.
    """
    _, known, tail = word.rpartition(MARK)
    bases = [makefile.parent, folder]
    if known:
        tail = tail.lstrip("/")
        bases += [place for place in folder.parents if any(place.is_relative_to(root) for root in seen)]
    if tail:
        yield from (Path(os.path.normpath(base / tail)) for base in bases)
