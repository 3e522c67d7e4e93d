# SPDX-License-Identifier: MIT
"""The files of a kernel's tree after each patch of a series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from r4l.errors import UsageError
from r4l.graft.changes import read_exactly
from r4l.graft.driver import Driver
from r4l.graft.inside import inside
from r4l.graft.series import arrivals, helpers, tree
from r4l.graft.series.items import without
from r4l.graft.series.rewrite import REMEDY, edited, rewrite
from r4l.graft.series.table import DriverTable, HelperFile, KitTable, Patch
from r4l.paths import text_or_none

MAINTAINERS = "MAINTAINERS"
BINDINGS = "rust/bindings/bindings_helper.h"
HELPERS = "rust/helpers/helpers.c"
SPDX = "// SPDX-License-Identifier: GPL-2.0\n"


@dataclass
class Series:
    """A series while it is made.

    Attributes:
        source: the tree that it is for.
        kit: the kit's folder.
        table: the kit's table.
        author: name and address of the author.
        files: texts of the tree's files as the patches so far leave them, new ones and changed ones.
        rust: those of them that are Rust code of the series.
        parts: the kit's files as the last patch has them, before they are rewritten.
        placed: helpers so far.
        constants: constants so far.
    """

    source: Path
    kit: Path
    table: KitTable
    author: tuple[str, str]
    files: dict[str, str] = field(default_factory=dict)
    rust: set[str] = field(default_factory=set)
    parts: dict[str, str] = field(default_factory=dict)
    placed: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)

    def text(self, path: str) -> str:
        """Return the present text of a file of the tree.

        Raises:
            UsageError: the tree has no such file, or a link to one elsewhere.
        """
        if path not in self.files:
            if not inside(self.source, path).is_file():
                raise UsageError(f"{self.source} has no {path}", "use the source of a kernel that the kit supports")
            self.files[path] = read_exactly(inside(self.source, path))
        return self.files[path]

    def add_kit(self, patch: Patch) -> dict[str, str]:
        """Apply a patch with parts of the kit; return the files that it changes, with their new texts."""
        before = dict(self.files)
        at = self.table.patches.index(patch)
        places = {name: target for each in self.table.patches[: at + 1] for name, target in each.files.items()}
        for name in (*patch.adds, *(edit.file for edit in patch.earlier)):
            if name not in places:
                raise UsageError(f"no patch before {patch.subject!r} has {name}", REMEDY)
        later = self.table.patches[at + 1 :]
        parts = arrivals.present({name: self._before(later, name) for name in places}, self._whole())
        # The new files first: their constants are listed in this order.
        for name in dict.fromkeys([*patch.files, *places]):
            if self.parts.get(name) != parts[name]:
                self._new(places[name], rewrite(parts[name], name, self.table.rules, of_kit=True))
                self._constants_of(parts[name], name)
        self.parts = parts
        return self._finish(patch, before)

    def _whole(self) -> dict[str, str]:
        """Return the kit's files that the series has, by path."""
        names = [name for patch in self.table.patches for name in patch.files]
        return {name: (self.kit / name).read_text(encoding="utf-8") for name in names}

    def _before(self, later: list[Patch], name: str) -> str:
        """Return a file of the kit without what some patches add by the table."""
        code = (self.kit / name).read_text(encoding="utf-8")
        for patch in reversed(later):
            code = edited(code, name, patch.earlier)
            code = without(code, patch.adds.get(name, []), name)
        return code

    def add_driver(self, driver: Driver, table: DriverTable) -> dict[str, str]:
        """Apply the patch with the driver; return the files that it changes, with their new texts."""
        before = dict(self.files)
        for name, code in driver.sources.items():
            if not name.endswith(".rs"):
                raise UsageError(f"{driver.folder / name} is not Rust", "a series is for drivers in Rust alone")
            target = f"{table.root}.rs" if name == driver.root else name
            code = rewrite(code, name, table.rules, of_kit=False)
            author = self.author[0].replace("\\", "\\\\").replace('"', '\\"')
            self._new(f"{table.folder}/{target}", code.replace("{author}", author))
        for name, text in table.new.items():
            self._require_new(f"{table.folder}/{name}")
            self.files[f"{table.folder}/{name}"] = text
        return self._finish(table.patch, before)

    def _new(self, path: str, code: str) -> None:
        if path not in self.rust:
            self._require_new(path)
        self.rust.add(path)
        self.files[path] = code

    def _require_new(self, path: str) -> None:
        if path in self.files or inside(self.source, path).exists():
            raise UsageError(f"{path} is in the kernel's tree already", "use a tree without the series")

    def _finish(self, patch: Patch, before: Mapping[str, str]) -> dict[str, str]:
        self._helpers()
        for header in patch.headers:
            self.files[BINDINGS] = tree.insert(self.text(BINDINGS), f"#include <{header}>", BINDINGS)
        for file, line in patch.lines:
            self.files[file] = tree.insert(self.text(file), line, file)
        for edit in patch.changes:
            if self.text(edit.file).count(edit.old) != 1:
                raise UsageError(
                    f"{edit.file} of this tree does not have {edit.old.strip()!r} once",
                    "use the source of a kernel that the kit supports",
                )
            self.files[edit.file] = self.text(edit.file).replace(edit.old, edit.new)
        new = [path for path in self.files if path not in before and not inside(self.source, path).exists()]
        self._maintain(patch, new)
        return {path: text for path, text in self.files.items() if self._differs(path, text, before)}

    def _differs(self, path: str, text: str, before: Mapping[str, str]) -> bool:
        if path in before:
            return before[path] != text
        file = inside(self.source, path)
        return not file.is_file() or read_exactly(file) != text

    def _maintain(self, patch: Patch, new: list[str]) -> None:
        wanted = patch.maintainers
        files = [next((folder for folder in wanted.folders if path.startswith(folder)), path) for path in new]
        name, address = self.author
        head = [f"M:\t{name} <{address}>", *wanted.head]
        self.files[MAINTAINERS] = tree.maintain(self.text(MAINTAINERS), wanted.section, head, files)

    def _helpers(self) -> None:
        """Add the helpers that the Rust code so far uses, and that the tree does not have."""
        ours = helpers.read((self.kit / "c/helpers.c").read_text(encoding="utf-8"))
        theirs = self._theirs()
        wanted = {name for path in self.rust for name in helpers.used(self.files[path])}
        fresh = [name for name in ours if name in wanted - theirs - {*self.placed, *self.table.exported}]
        if not fresh:
            return
        changed: dict[str, list[str]] = {}
        for name in fresh:
            changed.setdefault(self._file_of(name).file, []).append(name)
        self.placed += fresh
        for file in (entry for entry in self.table.helpers if entry.file in changed):
            path = f"rust/helpers/{file.file}"
            if inside(self.source, path).is_file():
                texts = "\n".join(ours[name].text for name in changed[file.file])
                self.files[path] = f"{self.text(path)}\n{texts}"
                continue
            if path not in self.files:
                self.files[HELPERS] = tree.insert(self.text(HELPERS), f'#include "{file.file}"', HELPERS)
            all_of_it = [name for name in ours if name in self.placed and self._file_of(name) == file]
            self.files[path] = _helper_file(file, [ours[name].text for name in all_of_it])

    def _theirs(self) -> set[str]:
        files = (self.source / "rust/helpers").rglob("*.c")
        return {name for file in files for name in re.findall(r"rust_helper_(\w+)\(", text_or_none(file))}

    def _file_of(self, name: str) -> HelperFile:
        for file in self.table.helpers:
            if any(re.fullmatch(pattern, name) for pattern in file.names):
                return file
        raise UsageError(f"the helper {name} has no file in rust/helpers", REMEDY)

    def _constants_of(self, code: str, name: str) -> None:
        values = helpers.constants((self.kit / "c/layout.c").read_text(encoding="utf-8"))
        used = dict.fromkeys(re.findall(r"(?<![\w:])layout::([A-Z0-9_]+)", code))
        fresh = [each for each in used if each not in (*self.constants, *self.table.own)]
        lines = []
        for each in fresh:
            if each not in values or each not in self.table.rules.constants:
                raise UsageError(f"{name}: the constant {each} of layout.c is unknown", REMEDY)
            kind = {"usize": "size_t", "u64": "u64", "u32": "u32"}[self.table.rules.constants[each]]
            lines.append(f"const {kind} RUST_CONST_HELPER_{each} = {self.table.values.get(each, values[each])};")
        if lines:
            wrapped = [_wrapped(line) for line in lines]
            self.files[BINDINGS] = tree.add_constants(self.text(BINDINGS), wrapped, apart=not self.constants)
            self.constants += fresh


def _helper_file(file: HelperFile, functions: list[str]) -> str:
    includes = "".join(f"#include <{header}>\n" for header in file.includes)
    body = "\n".join(functions)
    if file.condition:
        body = f"#ifdef {file.condition}\n\n{body}\n#endif /* {file.condition} */\n"
    return f"{SPDX}\n{includes}\n{body}"


def _wrapped(line: str) -> str:
    if len(line) <= 100:
        return line
    head, _, value = line.partition(" = ")
    return f"{head} =\n\t{value}"
