# SPDX-License-Identifier: MIT
"""The parts of the project's own tests, read from `tests/parts.toml`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from r4l import user_tables

PYTHON = sys.executable
TABLE = "tests/parts.toml"
THOROUGH = "thorough"
"""Marker of tests that the default selection leaves out."""

Selection = Literal["all", "sample", "rest"]
"""All tests of a part, those without the marker `thorough`, or those with it."""

Need = tuple[str, str]
"""A kernel's name and the guest's architecture."""


SHAPE = {
    "about": str,
    "minutes": (int, float),
    "paths": [str],
    "modules?": [[str]],
    "pytest?": [str],
    "needs?": [str],
    "workers?": (int, str),
    "together?": str,
    "default?": bool,
    "thorough?": bool,
}
"""Keys of a part."""


@dataclass(frozen=True)
class Part:
    """One part of the tests; `tests/parts.toml` explains the attributes."""

    name: str
    about: str
    minutes: float
    paths: tuple[str, ...]
    modules: tuple[tuple[str, ...], ...] = ()
    pytest: tuple[str, ...] = ()
    needs: Need | None = None
    workers: str | int = 1
    together: str = ""
    default: bool = False
    thorough: bool = False

    @property
    def rest(self) -> Selection | None:
        """Selection of the tests that the default selection leaves out; None if it runs the whole part."""
        if not self.default:
            return "all"
        return "rest" if self.thorough else None

    def commands(self, pytest_arguments: Sequence[str] = (), selection: Selection = "all") -> list[list[str]]:
        """Return the command lines of the part.

        Args:
            pytest_arguments: more arguments for parts that run pytest.
            selection: the tests to run in a part that runs pytest.
        """
        if self.modules:
            return [[PYTHON, "-m", *words] for words in self.modules]
        argv = [PYTHON, "-m", "pytest", *self.pytest]
        count = os.cpu_count() or 1 if self.workers == "cores" else int(self.workers)
        if count > 1:
            # Neighbouring tests share fixtures: each worker gets a range of them, and an idle one steals from others.
            argv += ["-n", str(count), "--dist", "loadfile" if self.together == "files" else "worksteal"]
        if selection != "all" and self.thorough:
            argv += ["-m", THOROUGH if selection == "rest" else f"not {THOROUGH}"]
        return [[*argv, *pytest_arguments]]

    def is_about(self, file: str) -> bool:
        """True if a file of the checkout, by its path relative to the root, belongs to the part."""
        return any(file == path or path == "" or (path.endswith("/") and file.startswith(path)) for path in self.paths)


def table(checkout: Path) -> dict[str, Part]:
    """Return all parts by name, in the order of their run.

    Args:
        checkout: root of the project.

    Raises:
        UsageError: the file cannot be read, or does not have its shape.
    """
    return {name: _part(name, entry) for name, entry in user_tables.read(checkout / TABLE, {"*": SHAPE}).items()}


def _part(name: str, entry: Mapping[str, Any]) -> Part:
    lists = {key: tuple(entry[key]) for key in ("paths", "pytest", "needs") if key in entry}
    modules = tuple(tuple(words) for words in entry.get("modules", ()))
    return Part(name, **{**entry, **lists, "modules": modules})
