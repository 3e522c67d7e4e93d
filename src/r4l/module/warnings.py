# SPDX-License-Identifier: MIT
"""What the compilers warned of in a build that succeeded, also in files that make did not compile again this time.

make prints the warnings of what it compiles. They are kept beside the output folder, each with the objects that it may
have come from, until one of these is compiled again: as cargo shows them, so are they shown by each build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from r4l import home

MADE = re.compile(r"^\s+(?:RUSTC|CC|LD|AS|MODPOST|CLIPPY)\b(?: \[M\])?\s+(\S+)$")
"""make's line for what it makes."""
MAKE = re.compile(r"^(?:\s+[A-Z]+(?: \[M\])?\s+\S+$|make(?:\[\d+\])?: |\$ |Skipping BTF)")
RUST = re.compile(r"^warning(?:\[[\w-]+\])?: (?!.* warnings? emitted$|\d+ warnings? emitted)")
C = re.compile(r"^(?P<file>[^\s:][^:]*):(?:\d+:)*\s(?:warning|note): ")
C_WARNING = re.compile(r"^[^\s:][^:]*:(?:\d+:)+ warning: ")
BEFORE = re.compile(r"^(?:In file included from |\s+from |[^\s:][^:]*: In |[^\s:][^:]*: At top level)")
"""What gcc prints before a warning of C."""
LINKER = re.compile(r"^(?:WARNING: modpost: |\S+: warning: objtool: |\S*ld(?:\.\w+)?: warning: )")
PLACES = tuple(map(re.compile, (r"^\s*--> ([^:]+):", C.pattern, r"^(?:In file included|\s+) from ([^:]+):")))
"""The files that a warning names: rustc's, a C compiler's, and those that include the file."""
BEGINS = (("rust", RUST), ("linker", LINKER), ("C", C_WARNING))
MODPOST = "Module.symvers"
"""What modpost makes, and make says of it."""
LONGEST = 100_000
"""Characters that are kept: a generated file may warn without end."""


@dataclass(frozen=True)
class Warned:
    """A warning, as the compiler printed it.

    Attributes:
        objects: those that it came from; of several, nobody knows which.
        text: its lines.
    """

    objects: tuple[str, ...]
    text: str


def keep(output: Path, said: str) -> str:
    """All that the folder's files are warned of now; returned, and kept for the next build.

    Args:
        output: the folder of what was built.
        said: what make printed this time.
    """
    file = output.with_name(f"{output.name}.warnings.json")
    made = {match[1] for line in said.splitlines() if (match := MADE.match(line))}
    stays = [one for one in _kept(file) if not made & set(one.objects)]
    now = [*stays, *found(said)]
    if made or now != stays:
        home.replace_text(file, json.dumps([asdict(one) for one in now]))
    return "\n\n".join(dict.fromkeys(one.text for one in now))[:LONGEST]


def _kept(file: Path) -> list[Warned]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return [Warned(tuple(entry["objects"]), str(entry["text"])) for entry in entries]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        # None were kept, or not by this r4l.
        return []


def found(said: str) -> list[Warned]:
    """The warnings in what make printed."""
    made = [match[1] for line in said.splitlines() if (match := MADE.match(line))]
    return [Warned(_objects(text, made), text) for text in _blocks(said)]


def _blocks(said: str) -> Iterator[str]:
    """The text of each warning: a rustc's up to an empty line, a C compiler's up to the next line of another kind."""
    block: list[str] = []
    before: list[str] = []
    kind = ""
    for line in [*said.splitlines(), "$ "]:
        begins = (
            "rust" if RUST.match(line) else "C" if C_WARNING.match(line) else "" if not LINKER.match(line) else "one"
        )
        goes_on = (kind == "rust" and line != "" and not MAKE.match(line)) or (
            kind == "C" and not MAKE.match(line) and (line[:1] == " " or C.match(line) is not None)
        )
        if block and (begins or not goes_on):
            yield "\n".join(block).rstrip()
            block, kind = [], ""
        if begins:
            block, kind = [*before, line], begins
        elif block:
            block.append(line)
        before = [*before, line] if BEFORE.match(line) and not block else []


def _objects(text: str, made: list[str]) -> tuple[str, ...]:
    """The objects that a warning may come from: the one that its file is named as, else all that were made."""
    if LINKER.match(text):
        return (MODPOST, *(name for name in made if name in text)) if "modpost" in text else tuple(made)
    compiled = tuple(name for name in made if name.endswith(".o") and not name.endswith(".mod.o"))
    places = [match[1] for line in text.splitlines() for place in PLACES if (match := place.match(line))]
    stems = {Path(place).with_suffix("").name for place in places}
    return tuple(name for name in compiled if Path(name).with_suffix("").name in stems) or compiled
