# SPDX-License-Identifier: MIT
"""Kbuild's records of a folder's modules: modules.order, Module.symvers, and modpost's command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel
from r4l.module.mirror import SYMBOLS
from r4l.paths import require_text
from r4l.toolchain import Grant


def modules_of(place: Path) -> list[Path]:
    """Return the modules that Kbuild has made in a folder, in its own order.

    Raises:
        BuildError: the list is none of Kbuild's.
    """
    names = _text(place / "modules.order").split()
    for name in names:
        if "\0" in name or Path(name).name in ("", ".."):
            raise BuildError(f"modules.order names {name!a}, which is no file", "have Kbuild write it")
    return [(place / name).with_suffix(".ko") for name in names]


def exported(file: Path) -> list[str]:
    """Return the symbols that modules export, from the Module.symvers of their folder; empty without one."""
    lines = (line.split("\t") for line in _text(file).splitlines())
    return [words[1] for words in lines if len(words) > 1]


def _text(file: Path) -> str:
    """Return the text of a record, which a Makefile may have written itself; empty without one.

    Raises:
        BuildError: the record is far larger than any of Kbuild's.
    """
    try:
        return require_text(file, "replace")
    except OSError:
        return ""
    except UsageError as error:
        raise BuildError(
            f"the build left a record that is none of Kbuild's: {error.cause}", "have the Makefile leave it to Kbuild"
        ) from error


def symbols_of_others(kernel: Kernel, place: Path, grant: Grant) -> Iterator[str]:
    """Yield the symbols of modules of other folders, from the files that KBUILD_EXTRA_SYMBOLS names.

    Kbuild records modpost's command, in which they are (scripts/Makefile.modpost).
    """
    record = place / f".{SYMBOLS}.cmd"
    text = _text(record)
    seen = [root.resolve() for root in (*grant.reads, *grant.over.values())]
    [folder] = [shown / place.relative_to(copy) for shown, copy in grant.over.items() if place.is_relative_to(copy)]
    for name in re.findall(r" -i (\S+)", text):
        named = Path(os.path.normpath(folder / name))
        if named == kernel.build / SYMBOLS:
            continue
        file = grant.stand_in(named) or named
        if any(file.resolve().is_relative_to(root) for root in seen):
            yield from exported(file)
