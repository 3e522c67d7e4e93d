# SPDX-License-Identifier: MIT
"""Merge r4l's keys into VS Code's settings.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l.ide.jsonc import Document

LISTS = frozenset({"rust-analyzer.linkedProjects"})
"""Settings whose lists are joined: r4l's entries beside the user's."""


@dataclass(frozen=True)
class Merge:
    """Result of a merge.

    Attributes:
        text: the new file; None if the present one cannot be parsed and must stay as it is.
        kept: keys that the user has set otherwise and that were left alone.
    """

    text: str | None
    kept: tuple[str, ...] = ()


def settings(
    projects: list[Path], rust_analyzer: Path, clangd: Path, commands: Path | None, folder: Path
) -> dict[str, Any]:
    """Return the settings that make the rust-analyzer and clangd extensions work on kernel code.

    Args:
        projects: each rust-project.json. rust-analyzer takes paths relative to the opened folder.
        rust_analyzer: program that the editor starts for Rust.
        clangd: program that the editor starts for C.
        commands: folder of compile_commands.json if it is not the edited one.
        folder: folder that the editor opens.
    """
    arguments = ["--header-insertion=never"]
    if commands:
        arguments.append(f"--compile-commands-dir={commands}")
    return {
        "rust-analyzer.linkedProjects": [
            str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in projects
        ],
        "rust-analyzer.server.path": str(rust_analyzer),
        # The kernel does not use Cargo: `cargo check` at each save would fail.
        "rust-analyzer.checkOnSave": False,
        "rust-analyzer.cargo.buildScripts.enable": False,
        "rust-analyzer.procMacro.enable": True,
        "clangd.path": str(clangd),
        "clangd.arguments": arguments,
    }


def merge(present: str | None, wanted: Mapping[str, Any], before: Mapping[str, Any], *, force: bool = False) -> Merge:
    """Merge r4l's settings into a settings.json.

    Args:
        present: content of the file; None if there is no file.
        wanted: r4l's settings.
        before: settings that r4l wrote the last time and may change.
        force: replace keys that the user has set otherwise.
    """
    if present is None or not present.strip():
        return Merge(json.dumps(dict(wanted), indent=4) + "\n")
    try:
        document = Document.parse(present)
    except ValueError:
        return Merge(None)
    theirs = document.values
    changes: dict[str, Any] = {}
    kept = []
    for key, value in wanted.items():
        current = theirs.get(key)
        if key in LISTS and isinstance(current, list):
            ours = [*before.get(key, []), *value]
            changes[key] = [*(entry for entry in current if entry not in ours), *value]
        elif key not in theirs or force or (key in before and current == before[key]):
            changes[key] = value
        elif current != value:
            kept.append(key)
    changes = {key: value for key, value in changes.items() if key not in theirs or theirs[key] != value}
    try:
        return Merge(document.edited(changes), tuple(kept))
    except ValueError:
        return Merge(None)
