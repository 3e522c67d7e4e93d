# SPDX-License-Identifier: MIT
"""Aliases for modules that have moved and names that have changed: the old one returns the same object and warns."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

MOVED = {
    "r4l.demo": "r4l.camp.demo",
    "r4l.kernel.architecture": "r4l.arch",
    "r4l.kernel.find": "r4l.kernel.named",
    "r4l.klog.cursor": "r4l.klog.demangle.cursor",
    "r4l.labs.card": "e1000_card",  # the folder labs/probes, on the path of a lab's checks
    "r4l.labs": "r4l.camp.labs",
    "r4l.rows": "r4l.camp.rows",
    "r4l.toolchain.archive": "r4l.debian.archive",
    "r4l.vm.tsc": "r4l.vm.guest_clock",
}
"""Old name to new name, of a module or of a package with its content."""


def present_name(name: str) -> str | None:
    """Return the new name of a moved module; None for any other."""
    for old, new in MOVED.items():
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
    return None


class MovedFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import finder for the names in `MOVED`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for an old name; None for any other."""
        name = present_name(fullname)
        if name is None or importlib.util.find_spec(name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the moved module itself, and warn at the importing line (DeprecationWarning)."""
        warnings.warn(f"{spec.name} is now {spec.origin}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(str(spec.origin))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's spec, which the import by the old name replaced. The code has run before."""
        alias = module.__spec__
        assert alias is not None
        module.__spec__ = alias.loader_state


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` (PEP 562) of a module in which names have changed.

    Args:
        module: name of the module.
        names: old name to new name.
    """

    def getattr_(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(f"{module}.{name} is now {names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], names[name])

    return getattr_


def install() -> None:
    """Register the finder."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedFinder())
