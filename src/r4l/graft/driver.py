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
        said = re.search(r'description: "((?:[^"\\]|\\.)*)"', text) or re.search(r'MODULE_DESCRIPTION\("([^"]*)"', text)
        return said[1].replace('"', "'").replace("\\", "") if said else f"The driver {self.name}"

    def uses(self) -> set[str]:
        """Return the modules of the `kernel` crate that the code names."""
        found: set[str] = set()
        for match in re.finditer(r"\bkernel::(?=(\w+)|\{)", self.code):
            found |= {match[1]} if match[1] else _heads(self.code[match.end() + 1 :])
        return found


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
    joined = kbuild.replace("\\\n", " ")
    names = re.findall(r"([\w-]+)\.o\b", " ".join(re.findall(r"^\s*obj-m\s*[:+]?=(.*)$", joined, re.MULTILINE)))
    if len(names) != 1:
        raise UsageError(
            f"{folder} has {len(names)} modules: {', '.join(names) or 'no line obj-m := NAME.o'}",
            "graft folders with one module each",
        )
    listed = re.findall(rf"^\s*{re.escape(names[0])}-(?:y|objs)\s*[:+]?=(.*)$", joined, re.MULTILINE)
    objects = tuple(" ".join(listed).split())
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
        try:
            found.append((inner.as_posix(), require_text(_own(path, folder))))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not text: {error}", "make it UTF-8, or move it away") from error
    return found
