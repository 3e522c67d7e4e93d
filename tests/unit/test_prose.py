# SPDX-License-Identifier: MIT
"""Docstrings of the package name a noun or begin with a verb (`tests/unit/prose.toml`; CONTRIBUTING.md, "Prose")."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = tomllib.loads(Path(__file__).with_name("prose.toml").read_text(encoding="utf-8"))
FORBIDDEN = frozenset(word for words in WORDS.values() for word in words)
FIRST = re.compile(r"[\w']+")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring: of modules, classes, functions, and those below an assignment."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for index, statement in enumerate(body):
            if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
                continue
            before = body[index - 1] if index else None
            documents = isinstance(before, ast.Assign | ast.AnnAssign) or index == 0
            if documents and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value


def riddles(source: str) -> list[tuple[int, str]]:
    """Return line and first sentence of the docstrings whose first word is forbidden."""
    found = []
    for line, text in docstrings(source):
        first = FIRST.match(text.strip())
        if first and first[0] in FORBIDDEN:
            found.append((line, " ".join(text.split())[:80]))
    return found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What has begun is complete now."""', 1),
        ('class A:\n    """Whether it is."""\n\n    x = 1\n    """How many."""', 2),
        ('def f():\n    """\n    Its name.\n    """', 1),
        ('async def f():\n    """Nobody uses it."""', 1),
        ('"""Number of checkpoints passed."""\ndef f():\n    """True if the machine survived."""', 0),
        ('"""Which.py is a file."""', 1),
        ('"""Whichever."""\nx = "What is no docstring"\nf("""What""")\n', 0),
        ('x = 1\n"""`What` a name is."""', 0),
    ],
)
def test_a_riddle_is_found(source: str, count: int) -> None:
    assert len(riddles(source)) == count


def test_docstrings_name_a_noun_or_begin_with_a_verb() -> None:
    files = sorted((ROOT / "src").rglob("*.py"))
    assert len(files) > 200
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for file in files
        for line, text in riddles(file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(["a docstring's first word names nothing (tests/unit/prose.toml):", *found])
