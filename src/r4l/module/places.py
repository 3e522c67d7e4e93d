# SPDX-License-Identifier: MIT
"""Places of the builds of a module folder, in the home's room `modules`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from r4l import home
from r4l.kernel import Kernel

FOLDER = "folder"
"""File beside the output folders with the path of the module's own folder."""
NOTHING = "nothing"
"""Empty folder beside the output folders, mounted over git's own folders."""
VIEW = "source"
"""Link beside the output folders to the module's own folder, where a build sees the folder unchanged."""


def output_folder(folder: Path, config: tuple[tuple[str, str], ...], kernel: Kernel) -> Path:
    """Return the copy of a module folder in which the module is built for a kernel, with all that was made in it."""
    return builds_of(folder) / build_key(config, kernel)


def builds_of(folder: Path) -> Path:
    """Return the folder with all builds of a module folder."""
    place = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:8]
    return home.home() / "modules" / f"{folder.name}-{place}"


def build_key(config: tuple[tuple[str, str], ...], kernel: Kernel) -> str:
    """Return the name of a build for a kernel, beside builds for other kernels or with other options."""
    return f"{kernel.key}-{home.content_key(repr(config))[:8]}" if config else kernel.key
