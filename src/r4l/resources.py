# SPDX-License-Identifier: MIT
"""Paths of the parts that are not Python: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path
from typing import Any

from r4l import tables
from r4l.tables import Shape

_PACKAGE = Path(__file__).resolve().parent


def rust(*names: str) -> Path:
    """Return a path in the folder `rust/` (kit, drivers, agent)."""
    return _beside("rust").joinpath(*names)


def labs() -> Path:
    """Return the folder of the labs."""
    return _beside("labs")


def kit() -> Path:
    """Return the kit's folder, which a driver's Kbuild names `R4L_KIT`.

    The environment variable R4L_KIT overrides it.
    """
    named = os.environ.get("R4L_KIT")
    return Path(named) if named else rust("kit")


def table(package: str, name: str, shape: Shape) -> dict[str, Any]:
    """Read a TOML table beside a package's modules.

    Args:
        package: `__package__` of the caller.
        name: of the TOML file.
        shape: of the table.

    Raises:
        BadTable: the file does not have the shape.
    """
    return tables.read(text(package, name), shape, name)


def text(package: str, name: str) -> str:
    """Return the text of a file that lies beside a package's modules.

    Args:
        package: `__package__` of the caller.
        name: name of the file.
    """
    return (importlib.resources.files(package) / name).read_text(encoding="utf-8")


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from; None for a wheel."""
    root = _PACKAGE.parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def _beside(name: str) -> Path:
    """Return a folder of the checkout's root; a wheel contains it in the package under the same name."""
    root = _PACKAGE.parents[1]
    return (root if (root / "pyproject.toml").is_file() else _PACKAGE) / name
