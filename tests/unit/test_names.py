# SPDX-License-Identifier: MIT
"""A class's name means one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/r4l"


def classes() -> dict[str, list[str]]:
    """Places of all public classes of the package, by name."""
    places = defaultdict(list)
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    return places


def test_no_two_classes_have_the_same_name() -> None:
    found = classes()
    assert len(found) > 300
    assert not {name: places for name, places in found.items() if len(places) > 1}
