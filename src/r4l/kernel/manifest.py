# SPDX-License-Identifier: MIT
"""The file that marks a kernel as complete and describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r4l import home
from r4l.toolchain import Toolchain

MANIFEST = "kernel.json"


def read(folder: Path, *keys: str) -> dict[str, Any] | None:
    """Return the manifest of a folder; None if it is missing or incomplete, and the kernel must be made again.

    Args:
        keys: required keys.
    """
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) and data.keys() >= set(keys) else None


def tools_of(toolchain: Toolchain) -> dict[str, Any]:
    """Return the manifest's entries about the toolchain that built the kernel."""
    return {"toolchain": toolchain.versions(), "tools": toolchain.identity}


def fits(data: Mapping[str, Any], toolchain: Toolchain) -> bool:
    """True if a kernel was built with this toolchain, so that modules built with it fit.

    Args:
        data: the kernel's manifest. Old ones have no identity, only the versions printed by the programs.
    """
    if "tools" in data:
        return bool(data["tools"] == toolchain.identity)
    said = data.get("toolchain") or {}
    return all(said[name] in toolchain.packages.get(name, "") for name in ("rustc", "bindgen") if name in said)


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the manifest, which marks the kernel in a folder as complete."""
    home.replace_text(folder / MANIFEST, json.dumps(data, indent=1))
