# SPDX-License-Identifier: MIT
"""Where the parts that are not Python lie: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

import importlib.resources
import os
import tomllib
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


def rust(*names: str) -> Path:
    """A path in the folder `rust/` (kit, drivers, agent)."""
    return _beside("rust").joinpath(*names)


def labs() -> Path:
    """The folder of the labs."""
    return _beside("labs")


def kit() -> Path:
    """The kit: the folder that a driver's Kbuild knows as `R4L_KIT`. The environment can name another."""
    named = os.environ.get("R4L_KIT")
    return Path(named) if named else rust("kit")


def table(package: str, name: str) -> dict[str, Any]:
    """A table that lies beside a package's modules.

    Args:
        package: as `__package__` says.
        name: of the TOML file.
    """
    return tomllib.loads((importlib.resources.files(package) / name).read_text(encoding="utf-8"))


def checkout() -> Path | None:
    """The root of the checkout that this package runs from; None where it was installed as a wheel."""
    root = _PACKAGE.parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def _beside(name: str) -> Path:
    """A folder of the checkout's root; a wheel has it in the package, by the same name."""
    root = _PACKAGE.parents[1]
    return (root if (root / "pyproject.toml").is_file() else _PACKAGE) / name
