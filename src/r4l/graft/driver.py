# SPDX-License-Identifier: MIT
"""Read a driver's folder for a graft: its name, its sources, the modules of the `kernel` crate that they use."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from r4l.errors import UsageError
from r4l.graft.inside import LONGEST as LONGEST_NAME
from r4l.graft.inside import is_plain
from r4l.module import Module
from r4l.paths import followed, is_below, leads_to_file, require_text
from r4l.walk import walk

SOURCES = (".rs", ".c", ".h", ".S")
NOT_SOURCES = {"tests", "r4l"}
"""Folders left out of the kernel's tree: the driver's tests, and files generated for its build."""
MOST_SOURCES = 5000
"""Maximum number of a driver's sources. A kernel's tree has ten times as many."""
MOST_TEXT = 64 << 20
"""Maximum number of their characters."""

_STRING = r'"(?:[^"\\]|\\.)*"'
RUST_DESCRIPTION = re.compile(rf"\bdescription: ({_STRING})", re.DOTALL)
C_DESCRIPTION = re.compile(rf"MODULE_DESCRIPTION\(\s*({_STRING}(?:\s*{_STRING})*)", re.DOTALL)
ESCAPE = re.compile(r"\\(?:\n\s*|u\{[0-9a-fA-F_]{1,8}\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
"""An escape in a string of Rust or C; at a line's end, in Rust, with the blanks of the next."""
LONGEST = 200
"""Characters of a description in one line."""

MODULES = re.compile(r"^[ \t]*+obj-m[ \t]*+[:+]?=(.*+)$", re.MULTILINE)
OBJECT = re.compile(r"(?<![\w-])([\w-]++)\.o\b")
PATH = re.compile(r"\bkernel::(?:(?=(\w+))|\{)")
BRACES = re.compile(r"([^{}]*+)([{}]?)")
COMMENT = re.compile(r"//[^\n]*|/\*(?:.*?\*/|.*+)", re.DOTALL)


@dataclass(frozen=True)
class Driver:
    """A driver's folder with one module.

    Attributes:
        folder: the folder on the host.
        name: the module's name.
        kbuild: text of the folder's Kbuild.
        objects: object files of a composite module; empty for NAME.rs or NAME.c alone.
        sources: path in the folder to text.
    """

    folder: Path
    name: str
    kbuild: str
    objects: tuple[str, ...]
    sources: dict[str, str]

    @property
    def root(self) -> str:
        """First source of the module; for Rust, the crate's root.

        Raises:
            UsageError: the folder has no source for the module.
        """
        stems = [posixpath.normpath(obj.removesuffix(".o")) for obj in self.objects] or [self.name]
        for suffix in (".rs", ".c"):
            for stem in stems:
                if stem + suffix in self.sources:
                    return stem + suffix
        raise UsageError(f"{self.folder} has no source for {self.name}.o", f"add {stems[0]}.rs or {stems[0]}.c")

    @property
    def rust(self) -> bool:
        """True if the driver is written in Rust."""
        return self.root.endswith(".rs")

    @property
    def kit(self) -> bool:
        """True if the driver is linked with the kit."""
        return bool(re.search(r"^include .*/kit\.mk$", self.kbuild, re.MULTILINE))

    @property
    def bindgen(self) -> bool:
        """True if the driver makes bindings of its own by the rules beside the kit."""
        return bool(re.search(r"^include .*/bindgen\.mk$", self.kbuild, re.MULTILINE))

    @property
    def single(self) -> bool:
        """True if the driver is one file, which can be placed among others."""
        return len(self.sources) == 1 and not self.objects and not self.kit and not self.bindgen

    @cached_property
    def code(self) -> str:
        """All Rust code of the driver, without comments."""
        rust = (text for path, text in sorted(self.sources.items()) if path.endswith(".rs"))
        return COMMENT.sub("", "\n".join(rust))

    @property
    def description(self) -> str:
        """The module's own description, from `module!` or MODULE_DESCRIPTION."""
        text = self.sources[self.root]
        said = RUST_DESCRIPTION.search(text) or C_DESCRIPTION.search(text)
        words = one_line(said[1]) if said else ""
        return words or f"The driver {self.name}"

    def uses(self) -> set[str]:
        """Return the modules of the `kernel` crate that the code names."""
        found: set[str] = set()
        at = 0
        while match := PATH.search(self.code, at):
            at = match.end()
            if match[1]:
                found.add(match[1])
            else:
                heads, at = _heads(self.code, at)
                found |= heads
        return found


def one_line(literals: str) -> str:
    """Return the text of strings of Rust or C, in one line, without control characters.

    Args:
        literals: one string with its quotes, or several of C's, which the compiler joins.
    """
    parts = re.findall(_STRING, literals, re.DOTALL)
    text = "".join(ESCAPE.sub(_unescaped, part[1:-1]) for part in parts)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]


def _unescaped(match: re.Match[str]) -> str:
    escape = match[0][1:]
    if escape in ('"', "'", "\\"):
        return escape
    # Blanks and control characters are no part of a line.
    return "" if escape[0] == "\n" else " "


def _heads(code: str, at: int) -> tuple[set[str], int]:
    """Return the first names of the paths in a `use` group, and the group's end; `at` is behind its brace."""
    depth = 1
    flat: list[str] = []
    while depth and (match := BRACES.match(code, at)):
        at = match.end()
        flat.append(match[1] if depth == 1 else "")
        depth += {"{": 1, "}": -1, "": 0}[match[2]]
        if not match[2]:
            break
    paths = "".join(flat).split(",")
    return {match[0] for path in paths if (match := re.match(r"\w+", path.strip()))}, at


def read_driver(folder: Path, apart: Collection[Path] = ()) -> Driver:
    """Read the driver in a folder.

    Args:
        folder: the driver's folder.
        apart: folders that are no part of it, though they may lie in it: the kernel's tree.

    Raises:
        UsageError: the folder has no module or several, one with too long a name, more sources than a driver has, or
            one that is not UTF-8.
    """
    # Bytes of a comment that are not UTF-8 go into the tree's Makefile as they are.
    kbuild = require_text(_own(Module(folder).require_kbuild(), folder), "surrogateescape")
    joined = re.sub(r"(?<!\\)#.*", "", kbuild.replace("\\\n", " "))
    listed = " ".join(MODULES.findall(joined))
    # Branches of an `ifeq` may name the same.
    names = list(dict.fromkeys(OBJECT.findall(listed)))
    if len(names) != 1:
        raise UsageError(
            f"{folder} has {len(names)} modules: {', '.join(names) or 'no line obj-m := NAME.o'}",
            "graft folders with one module each",
        )
    if len(names[0]) > LONGEST_NAME:
        raise UsageError(f"the name of the module in {folder} has {len(names[0])} characters", "give it a shorter one")
    parts = re.findall(rf"^[ \t]*+{re.escape(names[0])}-(?:y|objs)[ \t]*+[:+]?=(.*+)$", joined, re.MULTILINE)
    objects = tuple(" ".join(parts).split())
    driver = Driver(folder.absolute(), names[0], kbuild, objects, dict(_sources(folder, apart)))
    if not driver.root:
        raise UsageError(f"{folder} has no source", "add one")
    return driver


def _own(path: Path, folder: Path) -> Path:
    """Return a path after checking that it stays in the folder. A link to the outside would publish a foreign file.

    Raises:
        UsageError: the path leads out of the folder.
    """
    if not is_below(followed(path), followed(folder)):
        raise UsageError(f"{path} is a link to {followed(path)}", "copy the file into the folder")
    return path


def _sources(folder: Path, apart: Collection[Path]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    size = 0
    for inner in _files(folder, apart):
        path = folder / inner
        if path.suffix not in SOURCES or not leads_to_file(path) or path.name.endswith(".mod.c"):
            continue
        if not is_plain(inner):
            raise UsageError(f"{inner[:LONGEST_NAME]!a} has a name that no patch can have", "rename the file")
        try:
            text = require_text(_own(path, folder))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not text: {error}", "make it UTF-8, or move it away") from error
        found.append((inner, text))
        size += len(text)
        if len(found) > MOST_SOURCES or size > MOST_TEXT:
            raise UsageError(
                f"{folder} has more than {MOST_SOURCES} sources, or {MOST_TEXT >> 20} MiB of them",
                "move what is no part of the driver out of its folder",
            )
    return found


def _files(folder: Path, apart: Collection[Path]) -> list[str]:
    """Return the paths of a driver's files in its folder, in order, without hidden ones."""
    others = {_mark(path.stat()) for path in apart}
    found: list[PurePosixPath] = []
    outside: set[str] = set()
    for visit in walk(folder):
        if visit.left or visit.closed:
            continue
        inner = visit.inner
        if inner and (
            visit.names[-1] in NOT_SOURCES
            or visit.names[-1].startswith(".")
            or PurePosixPath(inner).parent.as_posix() in outside
            or _mark(os.fstat(visit.folder)) in others
        ):
            outside.add(inner)
            continue
        names = (entry.name for entry in visit.entries if not entry.is_dir(follow_symlinks=False))
        found += [PurePosixPath(inner, name) for name in names if not name.startswith(".")]
    return [str(path) for path in sorted(found)]


def _mark(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
