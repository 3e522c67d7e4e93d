# SPDX-License-Identifier: MIT
"""Modules that have moved: an import by the old name gives the same module and warns."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

MOVED = {
    "r4l.demo": "r4l.camp.demo",
    "r4l.kernel.architecture": "r4l.arch",
    "r4l.labs": "r4l.camp.labs",
    "r4l.rows": "r4l.camp.rows",
}
"""Old name to present name, of a module or of a package with all that is in it."""


def present_name(name: str) -> str | None:
    """The present name of a module that has moved; None for any other."""
    for old, new in MOVED.items():
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
    return None


class MovedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by the names in `MOVED`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module that has moved from there; None where none has."""
        name = present_name(fullname)
        if name is None or importlib.util.find_spec(name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module itself, with a DeprecationWarning for the line that imports it."""
        warnings.warn(f"{spec.name} is now {spec.origin}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(str(spec.origin))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module back the spec that the import by the old name replaced; its code has run."""
        alias = module.__spec__
        assert alias is not None
        module.__spec__ = alias.loader_state


def install() -> None:
    """Have old names found from now on."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedFinder())
