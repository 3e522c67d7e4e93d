# SPDX-License-Identifier: MIT
"""Kbuild's records of a folder's modules: modules.order, Module.symvers, and modpost's command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from r4l.kernel import Kernel
from r4l.module.mirror import SYMBOLS
from r4l.toolchain import Grant


def in_order(place: Path) -> list[str]:
    """Return the modules that Kbuild has made in a folder, in its own order."""
    order = place / "modules.order"
    return order.read_text(encoding="utf-8").split() if order.exists() else []


def exported(file: Path) -> list[str]:
    """Return the symbols that modules export, from the Module.symvers of their folder; empty without one."""
    if not file.is_file():
        return []
    lines = (line.split("\t") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return [words[1] for words in lines if len(words) > 1]


def symbols_of_others(kernel: Kernel, place: Path, grant: Grant) -> Iterator[str]:
    """Yield the symbols of modules of other folders, from the files that KBUILD_EXTRA_SYMBOLS names.

    Kbuild records modpost's command, in which they are (scripts/Makefile.modpost).
    """
    record = place / f".{SYMBOLS}.cmd"
    text = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    seen = [root.resolve() for root in (*grant.reads, *grant.over.values())]
    [folder] = [shown / place.relative_to(copy) for shown, copy in grant.over.items() if place.is_relative_to(copy)]
    for name in re.findall(r" -i (\S+)", text):
        named = Path(os.path.normpath(folder / name))
        if named == kernel.build / SYMBOLS:
            continue
        file = grant.stand_in(named) or named
        if any(file.resolve().is_relative_to(root) for root in seen):
            yield from exported(file)
