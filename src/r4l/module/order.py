# SPDX-License-Identifier: MIT
"""The order in which the modules of one folder are loaded: each after those that it needs, as depmod has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from r4l.module.modinfo import BuiltModule


def in_load_order(modules: Sequence[BuiltModule]) -> list[BuiltModule]:
    """Return modules in the order in which they can be loaded, each with the other modules that it `needs`.

    Sources are `depends=`, which modpost writes from the symbols, and `softdep=` (MODULE_SOFTDEP, modprobe.d(5)). The
    order of modules that do not need each other stays.
    """
    by_name = {module.name: module for module in modules}
    needed: dict[str, list[str]] = {
        name: [other for one in module.depends if (other := one.replace("-", "_")) in by_name]
        for name, module in by_name.items()
    }
    for name, module in by_name.items():
        for other in module.soft_depends["pre"]:
            _add(name, other, needed)
    before = {name: list(others) for name, others in needed.items()}
    for name, module in by_name.items():
        for later in module.soft_depends["post"]:
            _add(later, name, before)
    placed: dict[str, BuiltModule] = {}
    for name in dict.fromkeys(one for start in by_name for one in _all_before(start, before)):
        needs = tuple(placed[other] for other in _all_before(name, needed) if other in placed)
        placed[name] = dataclasses.replace(by_name[name], needs=needs)
    return list(placed.values())


def _add(name: str, other: str, before: Mapping[str, list[str]]) -> None:
    """Have one module come after another, if both are there. As for modprobe, a soft dependency closes no circle."""
    if name in before and other in before and name not in _all_before(other, before):
        before[name].append(other)


def _all_before(name: str, before: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names that come before one, directly or not, in a fitting order, and the name itself as the last."""
    seen = {name}
    found: list[str] = []
    # A module can name thousands in a row, more than calls of a function may be.
    begun = [(name, iter(before[name]))]
    while begun:
        one, others = begun[-1]
        other = next((other for other in others if other not in seen), None)
        if other is None:
            found.append(one)
            begun.pop()
        else:
            seen.add(other)
            begun.append((other, iter(before[other])))
    return found
