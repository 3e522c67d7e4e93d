# SPDX-License-Identifier: MIT
"""What is done to a machine between its boot and the moment that is kept: modules loaded, links up, files there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r4l import home
from r4l.errors import UsageError
from r4l.vm.loading import HasPath

if TYPE_CHECKING:
    from r4l.vm.vm import VM


class Preparation:
    """A function that prepares a machine, known by what it says.

    Args:
        function: called with the machine, booted, and then `modules`; `None`: there is nothing to prepare.
        modules: what it loads. A module built anew makes another machine.

    Attributes:
        modules: the files of these.

    Raises:
        UsageError: nobody could tell whether the function has changed: it has no source file, or takes values from
            the function around it.
    """

    def __init__(self, function: Callable[..., object] | None, modules: Sequence[HasPath] = ()) -> None:
        self._function = function
        self._modules = tuple(modules)
        self.modules = tuple(module.path for module in modules)
        self._said = _identity(function) if function else ()

    def __call__(self, vm: VM) -> None:
        """Prepare a machine that has booted."""
        if self._function:
            self._function(vm, *self._modules)

    def __bool__(self) -> bool:
        return self._function is not None

    @property
    def key(self) -> str:
        """Names this preparation in cache keys: the file that the function stands in, and the modules' contents."""
        return home.content_key(*self._said, *self.modules)


def _identity(function: Callable[..., object]) -> tuple[str | Path, ...]:
    plain: Any = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    source = inspect.getsourcefile(code) if code else None
    name = getattr(plain, "__qualname__", repr(plain))
    if code is None or source is None or not Path(source).is_file():
        raise UsageError(f"{name} cannot prepare a snapshot: it has no source file", "write it as a plain function")
    if code.co_freevars:
        raise UsageError(
            f"{name} cannot prepare a snapshot: it uses {', '.join(code.co_freevars)} of the function around it",
            "move it to the top of its file",
        )
    return (Path(source), name, str(code.co_firstlineno))
