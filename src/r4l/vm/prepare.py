# SPDX-License-Identifier: MIT
"""Preparation of a machine between its boot and the saving of its state: modules loaded, links up, files sent."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence

from r4l import home
from r4l.errors import UsageError
from r4l.module import BuiltModule
from r4l.vm.fingerprint import fingerprint
from r4l.vm.loading import HasPath


class Preparation:
    """A function that prepares a machine, with a key of all its dependencies (`r4l.vm.fingerprint`).

    Args:
        function: called with the booted machine and then `modules`; `None` for no preparation.
        modules: modules that it loads. A rebuilt module gives another key.

    Attributes:
        modules: files of these modules.

    Raises:
        UsageError: the function is not written in Python.
    """

    def __init__(self, function: Callable[..., object] | None, modules: Sequence[HasPath] = ()) -> None:
        if isinstance(function, types.BuiltinFunctionType | type):
            name = function.__qualname__
            raise UsageError(f"{name} cannot prepare a machine: it has no source file", "write it as a plain function")
        self._function = function
        self._modules = tuple(modules)
        needed = [(*(module.needs if isinstance(module, BuiltModule) else ()), module) for module in modules]
        self.modules = tuple(dict.fromkeys(module.path for group in needed for module in group))

    def __call__(self, vm: object) -> None:
        """Prepare a booted machine."""
        if self._function:
            self._function(vm, *self._modules)

    def __bool__(self) -> bool:
        return self._function is not None

    @property
    def key(self) -> str:
        """Key of the preparation in its present state, for caches: all dependencies of the function, the modules'
        contents.

        Raises:
            UsageError: the function depends on a value whose changes cannot be detected.
        """
        said = fingerprint(self._function) if self._function else ""
        names = [path.name for path in self.modules]
        return home.content_key(said, *names, *self.modules)
