# SPDX-License-Identifier: MIT
"""Parameters for modules, as the user writes them, and the modules that they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from r4l.errors import UsageError
from r4l.module.modinfo import BuiltModule


def parameters_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return `NAME=VALUE` pairs as module parameters.

    Raises:
        UsageError: a word has no `=`.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise UsageError(f"{wrong[0]} is not a module parameter", "write NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def parameters_for(
    module: BuiltModule, modules: Sequence[BuiltModule], parameters: Mapping[str, str]
) -> dict[str, str]:
    """Return those of several modules' parameters that one module has, and those that no module declares."""
    others = {name for other in modules if other is not module for name in other.parameters}
    theirs = others - set(module.parameters)
    return {name: value for name, value in parameters.items() if name.replace("-", "_") not in theirs}
