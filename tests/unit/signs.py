# SPDX-License-Identifier: MIT
"""Signs: the texts in which a reader of the checkout finds names of files and of code, for the tests of them."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[2]
Sign = tuple[str, int, str]
"""A file, a line, and a text there."""
APART = ("tests/fixtures/", "tests/hostile/folders.toml", "tests/unit/test_signs.py", "tests/unit/test_rust_signs.py")
"""Files that name what lies in the folders of others."""


@cache
def files() -> tuple[str, ...]:
    """The checkout's files, as git knows them."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(name for name in done.stdout.splitlines() if (ROOT / name).is_file())


@cache
def places() -> frozenset[str]:
    """The ends of all paths in the checkout, of files and folders: `nic.py`, `net/nic.py`, and so on."""
    whole = {*files(), *(str(folder) for name in files() for folder in PurePath(name).parents)}
    return frozenset("/".join(PurePath(path).parts[at:]) for path in whole for at in range(len(PurePath(path).parts)))


def signs_in(name: str, text: str) -> Iterator[Sign]:
    """Yield the text of a file for its readers: all of a document and of a table, comments and docstrings of code."""
    if name.endswith((".md", ".toml")):
        yield from ((name, number, line) for number, line in enumerate(text.splitlines(), 1))
    elif name.endswith(".py"):
        yield from (
            (name, token.start[0], token.string)
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        )
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield name, node.lineno, node.value.value
    elif name.endswith(".rs"):
        found = ((number, re.search(r"//[/!]?(.*)", line)) for number, line in enumerate(text.splitlines(), 1))
        yield from ((name, number, match[1]) for number, match in found if match)
    elif name.endswith((".yml", ".sh")) or name in ("r4l", "Makefile"):
        found = ((number, re.search(r"(?:^|\s)#(?!!)(.*)", line)) for number, line in enumerate(text.splitlines(), 1))
        yield from ((name, number, match[1]) for number, match in found if match)


def all_signs(*starts: str) -> Iterator[Sign]:
    """Yield the texts of all files whose path begins with one of `starts`."""
    for name in files():
        if name.startswith(starts) and not name.startswith(APART):
            with contextlib.suppress(UnicodeDecodeError):
                yield from signs_in(name, (ROOT / name).read_text(encoding="utf-8"))
