# SPDX-License-Identifier: MIT
"""The file that says that a kernel is whole, and what it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r4l import home
from r4l.toolchain import Toolchain

MANIFEST = "kernel.json"


def read(folder: Path, *keys: str) -> dict[str, Any] | None:
    """What the manifest in a folder says; None where there is none that is whole, and the kernel is to be made again.

    Args:
        keys: what it must have.
    """
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) and data.keys() >= set(keys) else None


def tools_of(toolchain: Toolchain) -> dict[str, Any]:
    """What a manifest says of the toolchain that the kernel was built with."""
    return {"toolchain": toolchain.versions(), "tools": toolchain.identity}


def fits(data: Mapping[str, Any], toolchain: Toolchain) -> bool:
    """Whether a kernel was built with this toolchain, so that modules built with it fit.

    Args:
        data: its manifest. Those of before name no identity, only what the programs said of their versions.
    """
    if "tools" in data:
        return bool(data["tools"] == toolchain.identity)
    said = data.get("toolchain") or {}
    return all(said[name] in toolchain.packages.get(name, "") for name in ("rustc", "bindgen") if name in said)


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Say that the kernel in a folder is whole."""
    partial = home.temporary(folder / MANIFEST)
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(data, indent=1))
        file.flush()
        # Or a machine that loses its power may have the name without the content.
        os.fsync(file.fileno())
    home.publish(partial, folder / MANIFEST)
