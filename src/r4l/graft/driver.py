# SPDX-License-Identifier: MIT
"""Read a driver's folder for a graft: its name, its sources, the modules of the `kernel` crate that they use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from r4l.errors import UsageError
from r4l.module import Module
from r4l.paths import followed, require_text

SOURCES = (".rs", ".c", ".h", ".S")
NOT_SOURCES = {"tests", "r4l"}
"""Folders left out of the kernel's tree: the driver's tests, and files generated for its build."""

_STRING = r'"(?:[^"\\]|\\.)*"'
RUST_DESCRIPTION = re.compile(rf"\bdescription: ({_STRING})", re.DOTALL)
C_DESCRIPTION = re.compile(rf"MODULE_DESCRIPTION\(\s*({_STRING}(?:\s*{_STRING})*)", re.DOTALL)
ESCAPE = re.compile(r"\\(?:\n\s*|u\{[0-9a-fA-F_]{1,8}\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
"""An escape in a string of Rust or C; at a line's end, in Rust, with the blanks of the next."""
LONGEST = 200
"""Characters of a description in one line."""

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
        stems = [Path(obj).stem for obj in self.objects] or [self.name]
        for suffix in (".rs", ".c"):
            for stem in stems:
                if stem + suffix in self.sources:
                    return stem + suffix
        raise UsageError(f"{self.folder} has no source for {self.name}.o", f"add {self.name}.rs")

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
        for match in re.finditer(r"\bkernel::(?=(\w+)|\{)", self.code):
            found |= {match[1]} if match[1] else _heads(self.code[match.end() + 1 :])
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


def _heads(group: str) -> set[str]:
    """Return the first names of the paths in a `use` group; `group` begins after the brace."""
    depth = 0
    flat = ""
    for character in group:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            break
        flat += character if depth == 0 else ""
    return {match[0] for path in flat.split(",") if (match := re.match(r"\w+", path.strip()))}


def read_driver(folder: Path) -> Driver:
    """Read the driver in a folder.

    Raises:
        UsageError: the folder has no module or several, or a source is not UTF-8.
    """
    kbuild = require_text(_own(Module(folder).require_kbuild(), folder))
    joined = re.sub(r"(?<!\\)#.*", "", kbuild.replace("\\\n", " "))
    listed = " ".join(re.findall(r"^\s*obj-m\s*[:+]?=(.*)$", joined, re.MULTILINE))
    # Branches of an `ifeq` may name the same.
    names = list(dict.fromkeys(re.findall(r"([\w-]+)\.o\b", listed)))
    if len(names) != 1:
        raise UsageError(
            f"{folder} has {len(names)} modules: {', '.join(names) or 'no line obj-m := NAME.o'}",
            "graft folders with one module each",
        )
    parts = re.findall(rf"^\s*{re.escape(names[0])}-(?:y|objs)\s*[:+]?=(.*)$", joined, re.MULTILINE)
    objects = tuple(" ".join(parts).split())
    driver = Driver(folder.absolute(), names[0], kbuild, objects, dict(_sources(folder)))
    if not driver.root:
        raise UsageError(f"{folder} has no source", "add one")
    return driver


def _own(path: Path, folder: Path) -> Path:
    """Return a path after checking that it stays in the folder. A link to the outside would publish a foreign file.

    Raises:
        UsageError: the path leads out of the folder.
    """
    if not followed(path).is_relative_to(folder.resolve()):
        raise UsageError(f"{path} is a link to {followed(path)}", "copy the file into the folder")
    return path


def _sources(folder: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        out = any(part in NOT_SOURCES or part.startswith(".") for part in inner.parts)
        if out or path.suffix not in SOURCES or not path.is_file() or path.name.endswith(".mod.c"):
            continue
        if not inner.as_posix().isprintable() or re.search(r'["\\]', str(inner)):
            raise UsageError(f"{inner.as_posix()!a} has characters that no patch can name", "rename the file")
        try:
            found.append((inner.as_posix(), require_text(_own(path, folder))))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not text: {error}", "make it UTF-8, or move it away") from error
    return found
