# SPDX-License-Identifier: MIT
"""Make the API reference: a page for the public library, and one for each room that names its public names.

`python docs/api.py FOLDER`. pdoc renders the docstrings; griffe compares them with the signatures, which pdoc does not
do. A warning of either, such as a description of a parameter that is not there, ends the program with 1.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import griffe
import pdoc

import r4l

SOURCE = Path(r4l.__file__).parent


def public_modules() -> list[str]:
    """The package itself, and those inside it that have an `__all__`, by name."""
    packages = [SOURCE / "__init__.py", *sorted(SOURCE.rglob("*/__init__.py"))]
    files = [file for file in packages if "\n__all__ = " in file.read_text(encoding="utf-8")]
    names = [".".join(file.parent.relative_to(SOURCE.parent).parts) for file in files]
    # A package that another one has in its `__all__` is found there.
    return [name for name in names if name.rpartition(".")[2] not in getattr(_parent(name), "__all__", ())]


def _parent(name: str) -> ModuleType | None:
    parent = name.rpartition(".")[0]
    return importlib.import_module(parent) if parent else None


def render(folder: Path) -> list[str]:
    """Write the pages into a folder, which is made.

    Returns:
        pdoc's warnings.
    """
    # They are loaded when they are first used (PEP 562); pdoc looks for them without using them.
    vars(r4l).update({name: getattr(r4l, name) for name in r4l.__all__})
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"r4l {r4l.__version__}")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # In the checkout, the launcher's name would be taken for a module's.
    with warnings.catch_warnings(record=True) as said, contextlib.chdir(folder):
        warnings.simplefilter("always")
        pdoc.pdoc(*public_modules(), output_directory=folder)
    return [str(warning.message) for warning in said]


def faults() -> list[str]:
    """Sections of docstrings, of all modules, that do not go with what they describe."""
    records: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("griffe")
    log.addHandler(handler)
    log.propagate = False
    try:
        # Not by its name: a file `r4l` in the current folder would be taken for it.
        package = griffe.load(SOURCE, search_paths=[SOURCE.parent], docstring_parser="google")
        for documented in walk(package):
            assert documented.docstring is not None
            _ = documented.docstring.parsed
    finally:
        log.removeHandler(handler)
    return records


def walk(parent: griffe.Object | griffe.Alias) -> Iterator[griffe.Object | griffe.Alias]:
    """All that has a docstring in a module or a class, which comes first; names that are imported are left out."""
    if parent.is_alias:
        return
    if parent.docstring:
        yield parent
    for member in parent.members.values():
        yield from walk(member)


def main(arguments: list[str]) -> int:
    """Make the reference in the folder that is named; exit code 1 where there were warnings, 2 where none is named."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = render(Path(arguments[0])) + faults()
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
