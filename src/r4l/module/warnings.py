# SPDX-License-Identifier: MIT
"""The compilers' warnings in a build that succeeded, also those of files that make did not compile again this time.

make prints only the warnings of the files that it compiles. They are kept beside the output folder, each with the
objects that it may have come from, until one of these is compiled again; so each build shows all warnings, as cargo
does.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from r4l import home

MADE = re.compile(r"^\s+(?:RUSTC|CC|LD|AS|MODPOST|CLIPPY)\b(?: \[M\])?\s+(\S+)$")
"""Line of make for a file that it makes."""
MAKE = re.compile(r"^(?:\s+[A-Z]+(?: \[M\])?\s+\S+$|make(?:\[\d+\])?: |\$ |Skipping BTF)")
RUST = re.compile(r"^warning(?:\[[\w-]+\])?: (?!.* warnings? emitted$|\d+ warnings? emitted)")
C = re.compile(r"^(?P<file>[^\s:][^:]*):(?:\d+:)*\s(?:warning|note): ")
C_WARNING = re.compile(r"^[^\s:][^:]*:(?:\d+:)+ warning: ")
BEFORE = re.compile(r"^(?:In file included from |\s+from |[^\s:][^:]*: In |[^\s:][^:]*: At top level)")
"""Lines that gcc prints before a warning of C."""
LINKER = re.compile(r"^(?:WARNING: modpost: |\S+: warning: objtool: |\S*ld(?:\.\w+)?: warning: )")
PLACES = tuple(map(re.compile, (r"^\s*--> ([^:]+):", C.pattern, r"^(?:In file included|\s+) from ([^:]+):")))
"""The files that a warning names: rustc's, a C compiler's, and those that include the file."""
MODPOST = "Module.symvers"
"""File that modpost makes, and that make names for it."""
WORD = re.compile(r"[\w./+@,=~^%-]{1,4096}")
BEGIN = re.compile(r"(?:(?<=/)|^)[^/]")
"""Begin of a part of a path."""
MOST = 300
"""Objects that a warning which names none of them is kept for."""
LONGEST = 100_000
"""Number of characters that are kept: a generated file may warn without end."""


@dataclass(frozen=True)
class Warned:
    """A warning, as the compiler printed it.

    Attributes:
        objects: objects that it may have come from.
        text: lines of the warning.
    """

    objects: tuple[str, ...]
    text: str


def keep(output: Path, said: str) -> str:
    """Return all present warnings for the folder's files, and keep them for the next build.

    Args:
        output: folder with the products of the build.
        said: output of make this time.
    """
    file = output.with_name(f"{output.name}.warnings.json")
    made = {match[1] for line in said.splitlines() if (match := MADE.match(line))}
    stays = [one for one in _kept(file) if not made & set(one.objects)]
    now = list(_bounded([*stays, *found(said)]))
    if made or now != stays:
        home.replace_text(file, json.dumps([asdict(one) for one in now]))
    return "\n\n".join(dict.fromkeys(one.text for one in now))[:LONGEST]


def _kept(file: Path) -> list[Warned]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return [Warned(tuple(entry["objects"]), str(entry["text"])) for entry in entries]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        # No warnings were kept, or another version of r4l kept them.
        return []


def _bounded(found: Iterable[Warned]) -> Iterator[Warned]:
    """Yield warnings until they have the number of characters that are shown."""
    length = 0
    for one in found:
        if length > LONGEST:
            return
        length += len(one.text)
        yield one


def found(said: str) -> list[Warned]:
    """Return the warnings in the output of make, up to `LONGEST` characters."""
    made = _Made(match[1] for line in said.splitlines() if (match := MADE.match(line)))
    return list(_bounded(Warned(made.sources_of(text), text) for text in _blocks(said)))


def _blocks(said: str) -> Iterator[str]:
    """Yield the text of each warning: rustc's up to an empty line, a C compiler's up to the next line of another
    kind."""
    block: list[str] = []
    before: list[str] = []
    compiler = ""
    for line in [*said.splitlines(), "$ "]:
        begins = (
            "rust" if RUST.match(line) else "C" if C_WARNING.match(line) else "" if not LINKER.match(line) else "one"
        )
        goes_on = (compiler == "rust" and line != "" and not MAKE.match(line)) or (
            compiler == "C" and not MAKE.match(line) and (line[:1] == " " or C.match(line) is not None)
        )
        if block and (begins or not goes_on):
            yield "\n".join(block).rstrip()
            block, compiler = [], ""
        if begins:
            block, compiler = [*before, line], begins
        elif block:
            block.append(line)
        if block or not BEFORE.match(line):
            before = []
        elif len(before) < MOST:
            before.append(line)


class _Made:
    """The objects that make has made, by their names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._all = dict.fromkeys(names)
        self._compiled = [name for name in self._all if name.endswith(".o") and not name.endswith(".mod.o")]
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._compiled:
            self._by_stem[Path(name).with_suffix("").name].append(name)

    def sources_of(self, text: str) -> tuple[str, ...]:
        """Return the objects that a warning may come from: the one named like its file, else the first `MOST` that were
        made."""
        if LINKER.match(text):
            if "modpost" not in text:
                return tuple(islice(self._all, MOST))
            ends = (word[at.start() :] for word in WORD.findall(text) for at in islice(BEGIN.finditer(word), MOST))
            return (MODPOST, *dict.fromkeys(name for name in ends if name in self._all))
        places = [match[1] for line in text.splitlines() for place in PLACES if (match := place.match(line))]
        stems = dict.fromkeys(Path(place).with_suffix("").name for place in places)
        named = [name for stem in stems for name in self._by_stem.get(stem, ())]
        return tuple(named[:MOST] or self._compiled[:MOST])
