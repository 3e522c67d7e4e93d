# SPDX-License-Identifier: MIT
"""Write docs/hosts.md from tests/hosts/hosts.toml and the outcomes of the part `hosts` (docs/hosts.json).

`python docs/hosts.py [RESULTS]`: RESULTS is the `hosts/results.json` of the home that the part ran in; what is in it
replaces older outcomes in docs/hosts.json.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
TABLE = DOCS.parent / "tests/hosts/hosts.toml"
OUTCOMES = DOCS / "hosts.json"
PAGE = DOCS / "hosts.md"

HEAD = """\
<!-- SPDX-License-Identifier: MIT -->
<!-- Written by docs/hosts.py. -->
# Hosts

r4l needs an x86-64 Linux with glibc 2.17 or newer (2012), `sh`, and Python 3.11 with `venv`, or uv. No root, no apt, no
system packages: the compilers are Debian's, in a folder. Not supported: musl (Alpine), other processors, a home on a
file system that is mounted `noexec`, or with a character in its path that the kernel's Makefiles do not take, such as
a space.

Each machine below is a folder of Debian's packages, changed as said and entered with bubblewrap, in which
`./r4l run rust/drivers/hello` goes from nothing to a Rust module in a VM: `./r4l selftest --only hosts` (as root). The
time is that of a machine with two cores and no KVM, with whatever else ran on it.

| machine | stands for | sandbox | minutes | passed |
|---|---|---|---|---|
"""

TAIL = """
## CI and containers

`r4l new` writes a workflow for GitHub, a pipeline for GitLab, a Dockerfile and a devcontainer. The same part of the
selftest reads the steps from these files and runs them on two more machines (tests/hosts/runners.toml), and those of
the project's own workflow, with `selftest --only lint` in the place of the whole selftest:

- GitHub's `ubuntu-24.04`: an ordinary user with sudo, Ubuntu's os-release and sources of apt, no mirror of Debian's.
  AppArmor refuses bubblewrap a user namespace until the workflow lifts that; the refusal is imitated by seccomp.
- `python:3.13-slim` with Docker's default capabilities and system calls, for GitLab's jobs and for the Dockerfile:
  PRoot.

The replay differs from the real machines: Python is Debian's, a wheel of this checkout stands for an index that has
r4l, and nothing was cached before.
"""


def page(table: dict[str, dict[str, Any]], outcomes: dict[str, dict[str, Any]]) -> str:
    """Return the text of docs/hosts.md."""
    lines = []
    for name, host in table.items():
        outcome = outcomes.get(name)
        row = [f"`{name}`: {host['about']}", host.get("stands", "itself")]
        if outcome:
            verdict = f"yes, {outcome['day']}" if outcome["passed"] else f"no, {outcome['day']}"
            row += [outcome["sandbox"] or "none", f"{outcome['seconds'] / 60:.1f}", verdict]
        else:
            row += ["", "", "not run yet"]
        lines.append(f"| {' | '.join(row)} |\n")
    return HEAD + "".join(lines) + TAIL


def main(arguments: list[str]) -> int:
    """Merge new outcomes and write the page; return the exit code."""
    outcomes = json.loads(OUTCOMES.read_text(encoding="utf-8")) if OUTCOMES.exists() else {}
    for path in arguments:
        outcomes |= json.loads(Path(path).read_text(encoding="utf-8"))
    OUTCOMES.write_text(json.dumps(outcomes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(tomllib.loads(TABLE.read_text(encoding="utf-8")), outcomes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
