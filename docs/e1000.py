# SPDX-License-Identifier: MIT
"""Write docs/e1000.md from the features in docs/e1000.toml and the outcomes of the tests (docs/e1000.json).

A test that no row of the table names is a row of its own: its docstring is the feature, the name of its file the group.

`python docs/e1000.py [DRIVER CARD RESULTS]`: RESULTS is a file that `pytest rust/drivers/e1000 --r4l-json RESULTS`
wrote, with the options for that driver (`rust`; `c`: `--r4l-module kernel:e1000`) and card (`qemu`; `python`:
`--r4l-card python:e1000`). Its outcomes replace older ones of the same tests. Outcomes of tests that do not exist any
more are removed.
"""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

DOCS = Path(__file__).parent
TABLE, OUTCOMES, PAGE = DOCS / "e1000.toml", DOCS / "e1000.json", DOCS / "e1000.md"
TESTS = DOCS.parent / "rust/drivers/e1000/tests"
COLUMNS = {"rust qemu": "Rust", "c qemu": "C", "rust python": "Rust, card in Python", "c python": "C, card in Python"}
"""Driver and card of each column, and its heading."""
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped: "
Outcomes = Mapping[str, Mapping[str, str]]

HEAD = """\
<!-- SPDX-License-Identifier: MIT -->
<!-- Written by docs/e1000.py. -->
# The e1000: the driver in Rust beside the one in C

The tests of `rust/drivers/e1000/tests` run with both drivers, on QEMU's card and on the one in Python
([devices.md](devices.md)). A row is a feature and the outcome of its tests. "yes": all of them passed. "yes, but": some
were skipped for the reason that follows, or have not run yet; "no": all were skipped. An empty cell: none passed, and
some have not run yet.

```console
$ ./r4l test rust/drivers/e1000 -- --r4l-json results.json
$ ./r4l test rust/drivers/e1000 -- --r4l-json results-c.json --r4l-module kernel:e1000
$ python docs/e1000.py rust qemu results.json
$ python docs/e1000.py c qemu results-c.json
```

"""


def tests_of(folder: Path) -> dict[str, dict[str, str]]:
    """Return the docstrings of a folder's test functions, by file and name; empty for a function without one."""
    return {
        file.name: {
            node.name: " ".join((ast.get_docstring(node) or "").split())
            for node in ast.walk(ast.parse(file.read_bytes()))
            if _is_test(node)
        }
        for file in sorted(folder.glob("test_*.py"))
    }


def rows_of(table: list[dict[str, Any]], tests: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the rows of the page: those of the table, and one for each other test, at the end of its group.

    Args:
        table: the rows of docs/e1000.toml.
        tests: the tests' docstrings, by file and name.

    Raises:
        ValueError: such a test has no docstring.
    """
    named = {test for row in table for test in in_row(row["tests"], tests)}
    rows = [*table]
    for file, functions in tests.items():
        group = file.removeprefix("test_").removesuffix(".py")
        for name, about in functions.items():
            if f"{file}::{name}" in named:
                continue
            if not about:
                raise ValueError(f"{file}::{name} is in no row of docs/e1000.toml, and has no docstring")
            places = [at for at, row in enumerate(rows) if row["group"] == group]
            # As the table's rows begin, unless with an abbreviation.
            about = about[0].lower() + about[1:] if about[1:2].islower() else about
            row = {"group": group, "about": about.removesuffix("."), "tests": [f"{file}::{name}"]}
            rows.insert(places[-1] + 1 if places else len(rows), row)
    return rows


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def in_row(patterns: Iterable[str], tests: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the tests of a row's entries, FILE or FILE::FUNCTION, as FILE::FUNCTION.

    Args:
        patterns: the entries.
        tests: all test functions, by file.
    """
    found = []
    for pattern in patterns:
        file, _, function = pattern.partition("::")
        found += [pattern] if function else [f"{file}::{name}" for name in tests[file]]
    return found


def cases(test: str, names: Iterable[str]) -> set[str]:
    """Return those of the names that are a test (FILE::FUNCTION), with any parameters."""
    return {name for name in names if name == test or name.startswith(f"{test}[")}


def cell(patterns: list[str], column: str, outcomes: Outcomes, tests: Mapping[str, Iterable[str]]) -> str:
    """Return the text of a cell.

    A test with parameters has run when each of its cases has that any column knows.

    Args:
        patterns: the row's entries.
        column: driver and card.
        outcomes: those of all columns.
        tests: all test functions, by file.
    """
    names, known = outcomes.get(column, {}), set().union(*outcomes.values())
    wanted = [case for test in in_row(patterns, tests) for case in sorted(cases(test, known)) or [test]]
    every = [names[case] for case in wanted if case in names]
    if FAILED in every:
        return "**failed**"
    missing = len(wanted) - len(every)
    if PASSED not in every and (missing or not every):
        return ""
    reasons = sorted({outcome.removeprefix(SKIPPED) for outcome in every if outcome != PASSED})
    if missing:
        reasons.append(f"{missing} of {len(wanted)} tests not run yet")
    if not reasons:
        return "yes"
    return f"{'yes, but' if PASSED in every else 'no'}: {'; '.join(reasons)}"


def page(table: list[dict[str, Any]], outcomes: Outcomes) -> str:
    """Return the text of docs/e1000.md.

    Args:
        table: the rows of docs/e1000.toml.
        outcomes: those of all columns.
    """
    lines = [f"| | feature | {' | '.join(COLUMNS.values())} | remark |\n", f"|---|---|{'---|' * len(COLUMNS)}---|\n"]
    before = ""
    tests = _all_tests()
    for row in rows_of(table, tests):
        group = row["group"] if row["group"] != before else ""
        before = row["group"]
        cells = [cell(row["tests"], column, outcomes, tests) for column in COLUMNS]
        lines.append(f"| {' | '.join([group, row['about'], *cells, row.get('note', '')])} |\n")
    return HEAD + "".join(lines)


def read(results: str) -> dict[str, str]:
    """Return the outcomes in a file of `--r4l-json`, by FILE::FUNCTION[PARAMETERS]."""
    found = {}
    for entry in json.loads(results):
        name, outcome = entry["name"].rpartition("/")[2], entry["outcome"]
        # An error is this machine's, and says nothing about the driver.
        if outcome != "error":
            found[name] = f"{SKIPPED}{entry['reason'].removeprefix('Skipped: ')}" if outcome == "skipped" else outcome
    return found


@cache
def _all_tests() -> dict[str, dict[str, str]]:
    return tests_of(TESTS)


def exists(name: str) -> bool:
    """Return True if there is a test of that name, FILE::FUNCTION[PARAMETERS]."""
    file, _, function = name.partition("[")[0].partition("::")
    return function in _all_tests().get(file, [])


def main(arguments: list[str]) -> int:
    """Merge new outcomes and write the page; return the exit code."""
    outcomes = json.loads(OUTCOMES.read_text(encoding="utf-8")) if OUTCOMES.exists() else {}
    if arguments:
        driver, card, file = arguments
        column = f"{driver} {card}"
        if column not in COLUMNS:
            print(f"{column}: there are {', '.join(COLUMNS)}", file=sys.stderr)
            return 2
        outcomes.setdefault(column, {}).update(read(Path(file).read_text(encoding="utf-8")))
    outcomes = {
        column: {name: outcome for name, outcome in names.items() if exists(name)} for column, names in outcomes.items()
    }
    OUTCOMES.write_text(json.dumps(outcomes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(tomllib.loads(TABLE.read_text(encoding="utf-8"))["row"], outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
