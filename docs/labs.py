# SPDX-License-Identifier: MIT
"""Write the tables of the labs in docs/labs.md and docs/labs.zh-CN.md, from each lab's lab.toml.

`python docs/labs.py` does it. It imports nothing of r4l.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
LABS = DOCS.parent / "labs"
PAGES = {"labs.md": "en", "labs.zh-CN.md": "zh"}
BEGIN, END = "<!-- The labs, written by `python docs/labs.py` -->\n", "<!-- The end of the labs -->\n"
HEADS = {
    "en": "| | lab | subject | runs on |\n|---|---|---|---|\n",
    "zh": "| | 实验 | 内容 | 运行于 |\n|---|---|---|---|\n",
}
WORDS = {
    "en": {
        "own": "a kernel of your own, from source",
        "source": "`{}`, from source",
        "also": "; ",
        "comma": ", ",
        "and": " and ",
    },
    "zh": {"own": "自己的内核，从源码编译", "source": "`{}`，从源码编译", "also": "；", "comma": "，", "and": " 和 "},
}


def runs_on(lab: Mapping[str, Any], language: str) -> str:
    """Return the kernels of a lab's checks, and their architectures if there are several."""
    words = WORDS[language]
    if "config" in lab:
        return words["own"]
    kernels = [name if name == "stock" else words["source"].format(name) for name in lab.get("kernels", ["stock"])]
    arches = [words["and"].join(lab["arches"])] if "arches" in lab else []
    return words["comma"].join([words["also"].join(kernels), *arches])


def table(folder: Path, language: str) -> str:
    """Return the table of the labs in a folder, in the camp's order."""
    rows = []
    for file in sorted(folder.glob("*/lab.toml")):
        number, _, name = file.parent.name.partition("-")
        lab = tomllib.loads(file.read_text(encoding="utf-8"))
        rows.append(f"| {int(number)} | `{name}` | {lab['title'][language]} | {runs_on(lab, language)} |\n")
    return HEADS[language] + "".join(rows)


def page(name: str) -> str:
    """Return the text of a page with its table as it is now."""
    before, rest = (DOCS / name).read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{table(LABS, PAGES[name])}{END}{after}"


def main() -> int:
    """Write both pages; return the exit code."""
    for name in PAGES:
        (DOCS / name).write_text(page(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
