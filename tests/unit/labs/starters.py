# SPDX-License-Identifier: MIT
"""Write the starters' files that follow from the reference answers.

A file of a lab's `answer/` may mark parts of itself by comments: the starter has the lines after `--- starter`, without
their `//|` or `#|`, instead of those after `--- answer`, up to `--- end`. Either half may be missing. The starter of
lab 10 is the e1000 driver with the bugs of labs/mutants/survive.toml.

`python tests/unit/labs/starters.py` does it after a change of an answer. It imports nothing of r4l.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LABS = ROOT / "labs"
SURVIVE, ANSWER = LABS / "10-survive/starter", ROOT / "rust/drivers/e1000"
BUGS = LABS / "mutants/survive.toml"
MARK = re.compile(r"[ \t]*(?://|#) --- (starter|answer|end)")
LINE = re.compile(r"([ \t]*)(?://|#)\|(?: (.*))?")
FOLLOWS = {"": ("starter", "answer"), "starter": ("answer", "end"), "answer": ("end",)}
"""Marks that may follow one another; the empty one stands for all that is outside of parts."""


def unanswered(text: str, name: str) -> str:
    """Return a file of an answer as the starter has it.

    Raises:
        ValueError: a mark stands where it has no meaning, or a line of the starter is no comment.
    """
    kept, part, line = [], "", 0
    for line, content in enumerate(text.splitlines(), 1):
        mark = MARK.fullmatch(content)
        if mark:
            if mark[1] not in FOLLOWS[part]:
                raise ValueError(f"{name}:{line}: `--- {mark[1]}` cannot follow `--- {part or 'end'}`")
            part = mark[1] if mark[1] != "end" else ""
        elif part == "starter":
            comment = LINE.fullmatch(content)
            if not comment:
                raise ValueError(f"{name}:{line}: a line of the starter begins with `//|` or `#|`")
            kept.append(comment[1] + comment[2] if comment[2] else "")
        elif not part:
            kept.append(content)
    if part:
        raise ValueError(f"{name}:{line}: `--- {part}` has no `--- end`")
    return "".join(f"{content}\n" for content in kept)


def unanswered_files(labs: Path) -> dict[Path, str]:
    """Return the files of the starters whose answers have marks, with their texts."""
    found = {}
    for path in sorted(labs.glob("*/answer/*")):
        text = path.read_text(encoding="utf-8")
        if any(MARK.fullmatch(line) for line in text.splitlines()):
            found[path.parents[1] / "starter" / path.name] = unanswered(text, str(path))
    return found


def survive_text(name: str) -> str:
    """Return a file of lab 10's starter: the driver's, with the starter's own second line and with the bugs.

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
    header = (SURVIVE / name).read_text(encoding="utf-8").splitlines()[1]
    return f"{spdx}\n{header}\n{rest}"


def main() -> int:
    """Write all of them; return the exit code."""
    files = {**unanswered_files(LABS), **{path: survive_text(path.name) for path in sorted(SURVIVE.iterdir())}}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
