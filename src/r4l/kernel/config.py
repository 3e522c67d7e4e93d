# SPDX-License-Identifier: MIT
"""The kernel's `.config` as a mapping."""

from __future__ import annotations

from pathlib import Path


def read_config(path: Path) -> dict[str, str]:
    """Return the options that are set, with quotes removed: `CONFIG_RUST` to `y`. Unset options are absent."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("CONFIG_") and "=" in line:
            name, value = line.split("=", 1)
            found[name] = value.strip('"')
    return found
