# SPDX-License-Identifier: MIT
"""Where the parts that are not Python lie: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def rust(*names: str) -> Path:
    """A path in the folder `rust/` (kit, drivers, agent)."""
    inside = _PACKAGE / "rust"
    base = inside if inside.is_dir() else _PACKAGE.parents[1] / "rust"
    return base.joinpath(*names)


def kit() -> Path:
    """The kit: the folder that a driver's Kbuild knows as `R4L_KIT`."""
    return rust("kit")
