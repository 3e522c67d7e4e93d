# SPDX-License-Identifier: MIT
"""Definitions in a kernel's own Rust source, found by patterns.

rustc reports the errors; this module only finds the line to show, without a parser. Files are those of `rust/kernel`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ITEM = r"(?:struct|enum|union|trait|fn|type|const|static|mod|macro_rules!)"
SIGNATURE_LINES = 16
"""Number of lines to read for a signature; no signature in the kernel is longer."""


@dataclass(frozen=True)
class Definition:
    """A definition in the source.

    Attributes:
        file: path relative to the source.
        line: line number from 1.
        text: signature in one line.
    """

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"`{self.text}` ({self.file}:{self.line})"


class RustTree:
    """The Rust source of a kernel.

    Args:
        source: the kernel's source tree.
    """

    def __init__(self, source: Path) -> None:
        self.source = source

    @cached_property
    def _files(self) -> dict[Path, list[str]]:
        """Every file with its lines."""
        files = sorted((self.source / "rust/kernel").rglob("*.rs"))
        return {
            file.relative_to(self.source): file.read_text(errors="replace", encoding="utf-8").splitlines()
            for file in files
        }

    def trait_items(self, item: str, trait: str | None = None) -> list[Definition]:
        """Return the declarations of `item` in traits of that name (its last segment), or in any trait."""
        pattern = re.compile(rf"^\s*(?:unsafe )?(?:async )?(?:const )?(?:fn|type|const) {re.escape(item)}\b")
        return [
            self._definition(file, number)
            for file, begin, end in self._traits(trait)
            for number in range(begin + 1, end)
            if pattern.match(self._files[file][number])
        ]

    def traits(self, trait: str) -> list[Definition]:
        """Return the definitions of the traits of that name."""
        return [self._definition(file, begin) for file, begin, _end in self._traits(trait)]

    def types(self, name: str) -> list[Definition]:
        """Return the definitions of public types of that name."""
        pattern = re.compile(rf"^\s*pub (?:unsafe )?(?:struct|enum|union|trait|type) {re.escape(name)}\b")
        return list(self._grep(pattern, self._files))

    def functions(self, name: str, files: list[Path]) -> list[Definition]:
        """Return the public functions of that name in some of the files."""
        pattern = re.compile(rf"^\s*(?:pub )?(?:const )?(?:unsafe )?fn {re.escape(name)}\b")
        return list(self._grep(pattern, [file for file in files if file in self._files]))

    def module(self, segments: list[str]) -> Path | None:
        """Return the file of a module of the crate `kernel`: for `["net", "phy"]` `rust/kernel/net/phy.rs`."""
        stem = Path("rust/kernel", *segments)
        names = [stem / "mod.rs", stem.with_suffix(".rs")] if segments else [stem / "lib.rs"]
        return next((name for name in names if name in self._files), None)

    def name_in(self, file: Path, name: str) -> Definition | None:
        """Return the definition or the re-export of a public name in a module's file."""
        defined = re.compile(rf"^\s*pub (?:const )?(?:unsafe )?{ITEM} {re.escape(name)}\b")
        found = next(self._grep(defined, [file]), None)
        return found or self._passed_on(file, name)

    def _passed_on(self, file: Path, name: str) -> Definition | None:
        """Return the `pub use` of a name; it can have several lines."""
        passed_on = re.compile(rf"^[ \t]*pub use [^;]*\b{re.escape(name)}\b(?!::)", re.MULTILINE)
        match = passed_on.search("\n".join(self._files[file]))
        return self._definition(file, match.string.count("\n", 0, match.start())) if match else None

    def definition_at(self, file: Path, line: int) -> Definition | None:
        """Return the definition that begins on a line, counted from 1; None if the file has no such line."""
        lines = self._files.get(file, [])
        return self._definition(file, line - 1) if 0 < line <= len(lines) else None

    def enclosing(self, file: Path, line: int) -> Definition | None:
        """Return the function, trait or type to whose signature a line belongs; the line itself if there is none."""
        lines = self._files.get(file, [])
        if not 0 < line <= len(lines):
            return None
        begins = re.compile(rf"^\s*(?:pub(?:\(\w+\))? )?(?:const )?(?:unsafe )?{ITEM} \w")
        for number in range(line - 1, max(line - 1 - SIGNATURE_LINES, -1), -1):
            if begins.match(lines[number]):
                return self._definition(file, number)
            if number < line - 1 and re.search(r"(?:^|[;}])\s*$", lines[number]):
                break
        return Definition(file, line, lines[line - 1].strip())

    def fields(self, struct: Definition) -> list[str]:
        """Return the names of a struct's public fields."""
        lines = self._files[struct.file][struct.line - 1 :]
        indent = re.match(r"\s*", lines[0])
        closing = f"{indent[0] if indent else ''}}}"
        body = lines[1 : next((i for i, line in enumerate(lines) if line.startswith(closing)), 0)]
        return [match[1] for line in body if (match := re.match(r"\s+pub (\w+):", line))]

    def condition(self, segments: list[str]) -> str:
        """Return the `cfg` under which a module of the crate `kernel`, or one around it, is compiled; empty if none."""
        for depth in range(len(segments)):
            parent = self.module(segments[:depth])
            lines = self._files[parent] if parent else []
            for number, line in enumerate(lines[1:], 1):
                found = re.match(r"\s*#\[cfg\((.*)\)\]", lines[number - 1])
                if found and re.match(rf"\s*pub mod {re.escape(segments[depth])}\b", line):
                    return found[1]
        return ""

    def segments(self, file: Path) -> list[str]:
        """Return the module of a file as its path without `kernel`."""
        names = list(file.relative_to("rust/kernel").with_suffix("").parts)
        return [] if names == ["lib"] else names[:-1] if names[-1] == "mod" else names

    def macro(self, name: str) -> Definition | None:
        """Return the definition of a macro by example."""
        pattern = re.compile(rf"^\s*macro_rules! {re.escape(name)}\b")
        return next(self._grep(pattern, self._files), None)

    def paths_of(self, name: str) -> list[str]:
        """Return the paths by which modules reach the items and the modules of that name, the prelude's last."""
        defined = re.compile(rf"^(?:pub (?:const )?(?:unsafe )?{ITEM}|macro_rules!) {re.escape(name)}\b")
        found = []
        for definition in self._grep(defined, self._files):
            segments = self.segments(definition.file)
            if "macro_rules!" in definition.text and not self.name_in(definition.file, name):
                segments = []
            found.append(self._public(segments, name))
        modules = [self.segments(file) for file in self._files]
        found += [
            "::".join(["kernel", *segments])
            for segments in modules
            if segments[-1:] == [name] and self._is_public(segments)
        ]
        prelude = self.module(["prelude"])
        found += ["kernel::prelude::" + name] if prelude and self.name_in(prelude, name) else []
        return list(dict.fromkeys(path for path in found if path))

    def _public(self, segments: list[str], name: str) -> str:
        """Return the path of an item of a module as far as all its modules are public; empty if it is not reached."""
        for depth, segment in enumerate(segments):
            parent = self.module(segments[:depth])
            if parent and not any(re.match(rf"\s*pub mod {segment}\b", line) for line in self._files[parent]):
                reached = segments[:depth] if self.name_in(parent, name) else None
                return "::".join(["kernel", *reached, name]) if reached is not None else ""
        return "::".join(["kernel", *segments, name])

    def _is_public(self, segments: list[str]) -> bool:
        """Return True if a module and all around it are public."""
        parents = [(self.module(segments[:depth]), segment) for depth, segment in enumerate(segments)]
        return all(
            parent and any(re.match(rf"\s*pub mod {segment}\b", line) for line in self._files[parent])
            for parent, segment in parents
        )

    def _grep(self, pattern: re.Pattern[str], files: list[Path] | dict[Path, list[str]]) -> Iterator[Definition]:
        for file in files:
            for number, line in enumerate(self._files[file]):
                if pattern.match(line):
                    yield self._definition(file, number)

    def _traits(self, name: str | None) -> Iterator[tuple[Path, int, int]]:
        """Yield file, first and last line (from 0) of traits."""
        wanted = re.escape(name) if name else r"[A-Z]\w*"
        pattern = re.compile(rf"^(\s*)pub (?:unsafe )?trait {wanted}\b")
        for file, lines in self._files.items():
            for number, line in enumerate(lines):
                match = pattern.match(line)
                if match:
                    # rustfmt, which the kernel demands, closes a block at the column where it was opened.
                    closing = f"{match[1]}}}"
                    end = next((i for i in range(number, len(lines)) if lines[i].startswith(closing)), number)
                    yield file, number, end

    def _definition(self, file: Path, number: int) -> Definition:
        words = " ".join(line.strip() for line in self._files[file][number : number + SIGNATURE_LINES])
        text = re.split(r"\s*(?:[;{]|\bwhere\b)", words, maxsplit=1)[0]
        return Definition(file, number + 1, re.sub(r",? \)", ")", text.replace("( ", "(")))


def parameters(signature: str) -> list[str]:
    """Return the parameters of a function's signature, `self` among them."""
    name = re.search(r"\bfn\b ?\w*(?:<(?:[^<>]|<[^<>]*>)*>)?\(", signature)
    return _parts(signature[name.end() :]) if name else []


def generics(signature: str) -> list[str]:
    """Return the generic parameters of a definition: types, constants and lifetimes."""
    name = re.search(rf"\b{ITEM} \w+<", signature)
    return _parts(signature[name.end() :]) if name else []


def types_of(signature: str) -> list[str]:
    """Return the types of a function's parameters without names, paths and lifetimes: enough to compare two
    signatures."""
    named = re.compile(r"^(?:mut )?\w+\s*:(?!:)\s*")
    itself = {"self": "Self", "mut self": "Self", "&self": "&Self", "&mut self": "&mutSelf"}
    plain = (re.sub(r"'\w+\s*", "", parameter) for parameter in parameters(signature))
    types = (itself.get(parameter, named.sub("", parameter)) for parameter in plain)
    return [re.sub(r"\s|\b(?:\w+::)+", "", parameter) for parameter in types]


def _parts(text: str) -> list[str]:
    """Return the parts between commas up to the bracket that closes the one opened before the text."""
    depth, found, current = 1, [], ""
    for char in text.replace("->", "  "):
        depth += (char in "([<") - (char in ")]>")
        if depth == 0:
            break
        if char == "," and depth == 1:
            found.append(current)
            current = ""
        else:
            current += char
    return [part.strip() for part in [*found, current] if part.strip()]
