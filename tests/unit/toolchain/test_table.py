# SPDX-License-Identifier: MIT
"""The tables of "What may touch what" in docs/ARCHITECTURE.md agree with the code.

grants.toml has the words for each part of a grant.
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from r4l import limits
from r4l.limits import GIB, MIB, VARIABLES, Limits
from r4l.toolchain import Grant

ROOT = Path(__file__).parents[3]
SECTION = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8").partition("## What may touch what")[2]
LIMITS = {"": "tool", "limits.build()": "build", "limits.kernel()": "kernel", "UNLIMITED": "none"}
WORDS = tomllib.loads(Path(__file__).with_name("grants.toml").read_text(encoding="utf-8"))
PLACES = {"writes": ("writes", "over"), "reads": ("reads", "over_reads")}
"""Arguments of a grant that a column describes, where they are not its own name alone."""
NOTHING = {"writes": "nothing", "reads": "nothing", "network": "none", "devices": "none", "terminal": "no"}
"""Content of a column for a grant without such an argument."""


def table(first: str) -> list[dict[str, str]]:
    """Return the rows of the table whose first column has that name."""
    lines = SECTION.partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()
    names = [first, *(name.strip() for name in lines[0].strip(" |").split("|"))]
    return [dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=True)) for line in lines[2:]]


def parts(value: ast.expr) -> list[str]:
    """Return the parts of an argument as they stand in the code: the items of a tuple or a dictionary, else itself."""
    if isinstance(value, ast.Tuple):
        return [ast.unparse(item) for item in value.elts]
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values, strict=True)
        return [f"{ast.unparse(key)}: {ast.unparse(of)}" if key else f"**{ast.unparse(of)}" for key, of in pairs]
    return [ast.unparse(value)]


@cache
def grants() -> dict[str, list[dict[str, list[str]]]]:
    """Return the arguments of each `Grant(…)` in the program and in the labs' checks, in parts, by caller."""
    found: dict[str, list[dict[str, list[str]]]] = {}
    for file in (*(ROOT / "src/r4l").rglob("*.py"), *(ROOT / "labs").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "Grant(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Grant":
                assert isinstance(node.args[0], ast.Constant), f"{file}: the caller's name is a plain text"
                arguments = {str(word.arg): parts(word.value) for word in node.keywords}
                found.setdefault(str(node.args[0].value), []).append(arguments)
    return found


ROWS = {row["caller"]: row for row in table("caller")}


def test_every_grant_has_its_row_and_no_row_is_left_over() -> None:
    assert sorted(ROWS) == sorted(grants())


@pytest.mark.parametrize("caller", sorted(ROWS))
def test_a_row_says_what_is_granted(caller: str) -> None:
    """Each part of the grant has its words, and the table has these words and no others."""
    row, words = ROWS[caller], WORDS.get(caller, {})
    assert words.keys() <= NOTHING.keys()
    for arguments in grants()[caller]:
        assert set(arguments) <= {field.name for field in fields(Grant)}
        for column, nothing in NOTHING.items():
            given = [part for name in PLACES.get(column, (column,)) for part in arguments.get(name, ())]
            assert given == list(words.get(column, {})), f"{column}: what the code grants, and what grants.toml has"
            assert row[column] == ("; ".join(words.get(column, {}).values()) or nothing)
        (limits,) = arguments.get("limits", [""])
        assert row["limits"] == LIMITS[limits]


def test_no_words_are_left_over() -> None:
    assert WORDS.keys() <= ROWS.keys()


def number(text: str) -> float:
    match = re.match(r"([\d,]+)(?: (MiB|GiB))?", text)
    assert match
    return int(match[1].replace(",", "")) * {None: 1, "MiB": MIB, "GiB": GIB}[match[2]]


def test_the_limits_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(limits, "machine_memory", lambda: 1024 * GIB)
    monkeypatch.setattr("os.cpu_count", lambda: 0)
    kinds: dict[str, Limits] = {"build": limits.build(), "kernel": limits.kernel(), "tool": limits.tool()}
    rows = table("limit")
    order = ("seconds", "memory", "processes", "output", "file", "disk")
    assert len(rows) == len(order)
    for row, field in zip(rows, order, strict=True):
        assert row["raised by"].strip("`") == limits.variable_of(field)
        for kind, bounds in kinds.items():
            cell = row["build" if row[kind] == "as build" else kind]
            value = getattr(bounds, field) - (limits.PER_CPU if field == "memory" else 0)
            assert value == number(cell), f"{field} of {kind}"
