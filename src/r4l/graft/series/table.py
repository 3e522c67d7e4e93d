# SPDX-License-Identifier: MIT
"""The series' tables: series.toml of the kit, and that of a driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r4l import user_tables
from r4l.errors import UsageError
from r4l.graft.inside import inside, require_plain
from r4l.graft.series.rewrite import Call, Edit, RewriteRules

NAME = "series.toml"

EDITS = [{"file": str, "old": str, "new": str}]
PATCH = {
    "subject!": str,
    "message": str,
    "files?": {"*": str},
    "adds?": {"*": [str]},
    "earlier?": EDITS,
    "lines?": [{"file": str, "line": str}],
    "changes?": EDITS,
    "headers?": [str],
    "maintainers": {"section": str, "head": [str], "folders?": [str]},
}
RULES = {"words?": {"*": str}, "edits?": EDITS, "omitted?": {"*": [str]}}
KIT = {
    **RULES,
    "kernel": [int],
    "modules": {"*": str},
    "calls": {"*": {"use": str, "text": str}},
    "constants": {"*": str},
    "values": {"*": str},
    "own": [str],
    "exported": [str],
    "left_out": {"*": str},
    "helpers": [{"file": str, "names": [str], "includes": [str], "condition?": str}],
    "patches": [{**PATCH, "folders?": {"*": str}}],
}
DRIVER = {
    **RULES,
    "folder": str,
    "root": str,
    "symbol": str,
    "new": {"*": str},
    "cover": {"subject": str, "message": str},
    "patch": PATCH,
}


@dataclass(frozen=True)
class HelperFile:
    """A file of rust/helpers.

    Attributes:
        file: its path there.
        names: expressions for the names of the helpers in it.
        includes: its headers, if the series makes it.
        condition: the option without which it is empty.
    """

    file: str
    names: list[str]
    includes: list[str]
    condition: str = ""


@dataclass(frozen=True)
class Maintainers:
    """The section of MAINTAINERS for the new files of a patch.

    Attributes:
        section: its title.
        head: its lines between the author's and those of files.
        folders: folders that it names in place of the files in them.
    """

    section: str
    head: list[str]
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Patch:
    """A patch of the series.

    Attributes:
        files: files of the kit or of the driver, with their paths in the tree. The table's `folders` of a patch of the
            kit stand for the files in them that the table does not name.
        adds: by file of an earlier patch, items that come with this one (`items.without`).
        earlier: texts of files with this patch, and their form before it.
        lines: files of the tree, each with a line that is put into a list there.
        changes: texts of files in the tree, and what replaces them.
        headers: C headers that the bindings need.
    """

    subject: str
    message: str
    maintainers: Maintainers
    files: dict[str, str] = field(default_factory=dict)
    adds: dict[str, list[str]] = field(default_factory=dict)
    earlier: tuple[Edit, ...] = ()
    lines: list[tuple[str, str]] = field(default_factory=list)
    changes: tuple[Edit, ...] = ()
    headers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class KitTable:
    """The kit's table.

    Attributes:
        rules: for the rewriter.
        kernel: version of the oldest kernel that the series is for: VERSION and PATCHLEVEL of its Makefile.
        values: C expressions of constants that the kernel's own bindgen needs in another form.
        own: constants that bindgen finds by itself.
        exported: helpers of functions that this kernel exports.
        left_out: files of the kit that the series leaves out, with the reason.
    """

    rules: RewriteRules
    kernel: tuple[int, ...]
    values: dict[str, str]
    own: list[str]
    exported: list[str]
    left_out: dict[str, str]
    helpers: list[HelperFile]
    patches: list[Patch]


@dataclass(frozen=True)
class DriverTable:
    """A driver's table.

    Attributes:
        folder: the driver's folder in the tree.
        root: name of the crate's root there, without `.rs`.
        symbol: the Kconfig option.
        new: further files of the folder with their text, such as Kconfig.
        cover: subject and text of the cover letter.
    """

    rules: RewriteRules
    folder: str
    root: str
    symbol: str
    new: dict[str, str]
    cover: tuple[str, str]
    patch: Patch


def read_kit(kit: Path) -> KitTable:
    """Read the table of the kit.

    Raises:
        UsageError: the table does not have its shape.
    """
    table = user_tables.read(kit / NAME, KIT)
    calls = {path: Call(**call) for path, call in table["calls"].items()}
    patches = [_patch(entry, kit / NAME) for entry in table["patches"]]
    placed = {*table["left_out"], *(name for patch in patches for name in patch.files)}
    for entry, patch in zip(table["patches"], patches, strict=True):
        for folder, target in entry.get("folders", {}).items():
            others = {f"{folder}/{path.name}": path.name for path in sorted((kit / folder).glob("*.rs"))}
            patch.files.update({name: f"{target}/{file}" for name, file in others.items() if name not in placed})
    return KitTable(
        rules=_rules(table, table["modules"], calls, table["constants"]),
        kernel=tuple(table["kernel"]),
        values=table["values"],
        own=table["own"],
        exported=table["exported"],
        left_out=table["left_out"],
        helpers=[HelperFile(**entry) for entry in table["helpers"]],
        patches=patches,
    )


def read_driver(folder: Path, kit: KitTable) -> DriverTable:
    """Read the table of a driver.

    Raises:
        UsageError: the driver has no table, or the table does not have its shape, or names a file that is not below the
            kernel's tree or the driver's folder.
    """
    file = inside(folder, NAME)
    if not file.is_file():
        raise UsageError(
            f"{folder} has no {NAME}, which says how the driver becomes patches",
            "write one as docs/series.md says, or use --patch FILE",
        )
    table = user_tables.read(file, DRIVER)
    return DriverTable(
        rules=_rules(table, kit.rules.modules, kit.rules.calls, {}),
        folder=require_plain(table["folder"], str(file)),
        root=require_plain(table["root"], str(file)),
        symbol=table["symbol"],
        new=_paths(table["new"], file),
        cover=(table["cover"]["subject"], table["cover"]["message"]),
        patch=_patch(table["patch"], file),
    )


def _rules(table: dict[str, Any], modules: Any, calls: Any, constants: Any) -> RewriteRules:
    edits = tuple(Edit(**edit) for edit in table.get("edits", []))
    return RewriteRules(modules, calls, constants, table.get("words", {}), edits, table.get("omitted", {}))


def _paths(table: dict[str, Any], where: Path) -> dict[str, Any]:
    """Return a table after checking that its keys are paths inside of a folder."""
    return {require_plain(path, str(where)): value for path, value in table.items()}


def _edits(entries: list[dict[str, str]], where: Path) -> tuple[Edit, ...]:
    return tuple(Edit(require_plain(entry["file"], str(where)), entry["old"], entry["new"]) for entry in entries)


def _patch(entry: dict[str, Any], where: Path) -> Patch:
    """Return a patch of a table.

    Raises:
        UsageError: a path in it is not inside of a folder.
    """
    return Patch(
        subject=entry["subject"],
        message=entry["message"].strip(),
        maintainers=Maintainers(**entry["maintainers"]),
        files={name: require_plain(path, str(where)) for name, path in _paths(entry.get("files", {}), where).items()},
        adds=_paths(entry.get("adds", {}), where),
        earlier=_edits(entry.get("earlier", []), where),
        lines=[(require_plain(line["file"], str(where)), line["line"]) for line in entry.get("lines", [])],
        changes=_edits(entry.get("changes", []), where),
        headers=entry.get("headers", []),
    )
