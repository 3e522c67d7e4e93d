# SPDX-License-Identifier: MIT
"""Trees, versions and lock files that tests of toolchains start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r4l.toolchain import recipe_key, table

NEWER = {"rustc": "1.90.0-1"}


def legacy(home: Path, versions: dict[str, str]) -> Path:
    """A tree as made by old versions of r4l: named by its recipe only."""
    root = home / "toolchain" / recipe_key(table())
    root.mkdir(parents=True)
    (root / "r4l-packages.json").write_text(json.dumps(versions), encoding="utf-8")
    return root


def lock_file(path: Path, **changed: Any) -> Path:
    """Write a lock file of an old rustc, with these keys; return its path."""
    path.write_text(json.dumps({"packages": {"rustc": "1.84.0-1"}, **changed}), encoding="utf-8")
    return path
