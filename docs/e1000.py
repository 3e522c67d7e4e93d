# SPDX-License-Identifier: MIT
"""Write docs/e1000.md from the features in docs/e1000.toml and the outcomes of the tests (docs/e1000.json).

`python docs/e1000.py [DRIVER CARD RESULTS]`: RESULTS is a file that `pytest rust/drivers/e1000 --r4l-json RESULTS`
wrote, with the options for that driver (`rust`; `c`: `--r4l-module kernel:e1000`) and card (`qemu`; `python`:
`--r4l-card python:e1000`). Its outcomes replace older ones of the same tests. Outcomes of tests that do not exist any
more are removed.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
were skipped for the reason that follows; "no": all were. An empty cell: not run yet.

```console
$ ./r4l test rust/drivers/e1000 -- --r4l-json results.json
$ ./r4l test rust/drivers/e1000 -- --r4l-json results-c.json --r4l-module kernel:e1000
$ python docs/e1000.py rust qemu results.json
$ python docs/e1000.py c qemu results-c.json
```

"""


def matching(pattern: str, names: Mapping[str, str]) -> list[str]:
    """Return the outcomes of the tests of a row's entry: FILE or FILE::FUNCTION."""
    return [
        outcome
        for name, outcome in names.items()
        if name == pattern or name.startswith((f"{pattern}[", f"{pattern}::"))
    ]


def cell(patterns: list[str], names: Mapping[str, str]) -> str:
    """Return the text of a cell for the outcomes of one driver and card."""
    found = [matching(pattern, names) for pattern in patterns]
    every = [outcome for outcomes in found for outcome in outcomes]
    if FAILED in every:
        return "**failed**"
    if not all(found):
        return ""
    reasons = sorted({outcome.removeprefix(SKIPPED) for outcome in every if outcome != PASSED})
    if not reasons:
        return "yes" if every else ""
    return f"{'yes, but' if PASSED in every else 'no'}: {'; '.join(reasons)}"


def page(rows: list[dict[str, Any]], outcomes: Outcomes) -> str:
    """Return the text of docs/e1000.md."""
    lines = [f"| | feature | {' | '.join(COLUMNS.values())} | remark |\n", f"|---|---|{'---|' * len(COLUMNS)}---|\n"]
    before = ""
    for row in rows:
        group = row["group"] if row["group"] != before else ""
        before = row["group"]
        cells = [cell(row["tests"], outcomes.get(column, {})) for column in COLUMNS]
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


def exists(name: str) -> bool:
    """Return True if there is a test of that name, FILE::FUNCTION[PARAMETERS]."""
    file, _, function = name.partition("[")[0].partition("::")
    path = TESTS / file
    return path.is_file() and f"def {function}(" in path.read_text(encoding="utf-8")


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
