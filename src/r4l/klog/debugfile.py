# SPDX-License-Identifier: MIT
"""Module files as distributions ship them: compressed, or with the debug information in a file of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from r4l.errors import UsageError
from r4l.klog.packed import opened

SUFFIXES = (".ko", ".debug", ".xz", ".zst", ".gz")


def module_file(file: Path, folder: Path) -> Path:
    """Return the .ko file to read a module's functions and lines from, unpacking it into `folder` if needed.

    Args:
        file: `X.ko`, `X.ko.debug`, `X.debug`, each also `.xz`, `.zst`, `.gz`.
        folder: folder on the host that receives the unpacked copy.

    Raises:
        UsageError: the file does not exist, or its name has none of these suffixes.
    """
    if not file.is_file():
        raise UsageError(f"no such module: {file}", "name the .ko file, or its debug file")
    if file.suffix == ".ko":
        return file.absolute()
    name = file.name
    while (suffix := Path(name).suffix) in SUFFIXES:
        name = name.removesuffix(suffix)
    if name == file.name:
        raise UsageError(f"{file} is not a module", f"a module's name ends with {', '.join(SUFFIXES)}")
    target = folder / f"{name}.ko"
    with opened(file) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    # Sources are trusted only if they are older than the module: keep its time stamp.
    shutil.copystat(file, target)
    return target
