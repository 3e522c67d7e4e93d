# SPDX-License-Identifier: MIT
"""A name means one thing: that of a class in the whole package, that of a function wherever it stands alone.

A function with a name that others have is called with its module's name from other rooms (`cpio.read`), where the name
alone would not say which one it is.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/r4l"
EXCEPT = {
    "r4l.cli.main": "the program's entry point, as Python's packaging calls it",
}
"""Functions whose name others have and that another room imports by name, with the reason."""


@cache
def modules() -> dict[str, ast.Module]:
    """All modules of the package with their code, by dotted name."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def classes() -> dict[str, list[str]]:
    """Places of all public classes of the package, by name."""
    places = defaultdict(list)
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{module}:{node.lineno}")
    return places


def test_no_two_classes_have_the_same_name() -> None:
    found = classes()
    assert len(found) > 300
    assert not {name: places for name, places in found.items() if len(places) > 1}


@cache
def functions() -> dict[str, list[str]]:
    """Modules of all public functions of the package that stand at a module's top, by name."""
    places = defaultdict(list)
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    return places


def imported(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield module, name, and name in the file, of each import by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, each.name, each.asname or each.name) for each in node.names)


def home_of(module: str, name: str) -> str | None:
    """Return the module that defines a function which another one may only pass on; None if it is no function of the
    package."""
    tree = modules().get(module)
    if tree is None:
        return None
    if module in functions().get(name, ()):
        return module
    return next(
        (home_of(source, first) for source, first, local in imported(tree) if local == name and source != module), None
    )


def room(module: str) -> str:
    """Return the room of a module."""
    return ".".join(module.split(".")[:2])


def ambiguous() -> dict[str, list[str]]:
    """Imports by name from another room of a function whose name others have, by `MODULE.NAME`."""
    found = defaultdict(list)
    for module, tree in modules().items():
        for source, name, _ in imported(tree):
            place = home_of(source, name)
            if place and room(place) != room(module) and len(functions()[name]) > 1:
                found[f"{place}.{name}"].append(module)
    return found


def test_a_functions_name_alone_says_which_one_it_is() -> None:
    found = ambiguous()
    assert len(functions()) > 600
    assert set(EXCEPT) <= set(found), "an exception that nothing needs"
    assert not {name: files for name, files in found.items() if name not in EXCEPT}
