# SPDX-License-Identifier: MIT
"""Write the starter of lab 10: files of the e1000 driver with the bugs of labs/mutants/survive.toml.

`python tests/unit/labs/survive_starter.py` does it after a change of the driver. It imports nothing of r4l.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STARTER, ANSWER = ROOT / "labs/10-survive/starter", ROOT / "rust/drivers/e1000"
BUGS = ROOT / "labs/mutants/survive.toml"


def text(name: str) -> str:
    """Return a file of the starter: the driver's, with the starter's own second line and with the bugs.

    Raises:
        ValueError: the text that a bug replaces does not stand in the driver's file once.
    """
    bugs = tomllib.loads(BUGS.read_text(encoding="utf-8"))
    code = (ANSWER / name).read_text(encoding="utf-8")
    for bug, entry in bugs.items():
        for edit in entry.get("edits", []) if entry.get("alone") else []:
            if edit["file"] == name:
                if code.count(edit["old"]) != 1:
                    raise ValueError(f"{name} has {code.count(edit['old'])} times what the bug {bug} replaces: {BUGS}")
                code = code.replace(edit["old"], edit["new"])
    spdx, _, rest = code.partition("\n")
    header = (STARTER / name).read_text(encoding="utf-8").splitlines()[1]
    return f"{spdx}\n{header}\n{rest}"


def main() -> int:
    """Write all files of the starter; return the exit code."""
    for path in sorted(STARTER.iterdir()):
        path.write_text(text(path.name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
