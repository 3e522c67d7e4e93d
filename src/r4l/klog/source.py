# SPDX-License-Identifier: MIT
"""From an address in a loaded module to the line of its source, by the debug information in its .ko."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from r4l.klog.frames import StackFrame

Run = Callable[[Sequence[str | Path], Path], str]
"""Runs addr2line with these arguments, which may read the folder; returns what it wrote, or as much as it could."""

PLACE = re.compile(r"(.+):(\d+)(?: \(discriminator \d+\))?")
LIBRARY = Path("/usr/lib/rustlib")
"""Where the standard library's source lies in the toolchain."""


@dataclass(frozen=True)
class _Symbol:
    section: str
    start: int
    size: int


class Sources:
    """The .ko files that were loaded into a machine, and the lines that their instructions come from.

    Args:
        run: how to run binutils' addr2line for the machine's architecture. It alone applies the relocations that an
            unlinked file like a .ko has in its debug information, and says all functions that were inlined.
        foreign: folders of sources that are compiled into modules but are not their authors': the kernel's, the kit's.
    """

    def __init__(self, run: Run, foreign: Iterable[Path] = ()) -> None:
        self._run = run
        self._foreign = (LIBRARY, *foreign)
        self._files: dict[str, tuple[Path, int]] = {}
        self._symbols: dict[Path, dict[str, list[_Symbol]]] = {}
        self._known: dict[tuple[str, str, int], tuple[str, int] | None] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The .ko files, by the names that lsmod shows."""
        return {name: path for name, (path, _) in self._files.items()}

    def add(self, ko: Path) -> None:
        """A module has been loaded. Its file is looked at when it is needed, if it is the same then."""
        name = ko.stem.replace("-", "_")
        self._files[name] = (ko, ko.stat().st_mtime_ns)
        self._symbols.pop(ko, None)
        self._known = {key: value for key, value in self._known.items() if key[0] != name}

    def locate(self, frames: Iterable[tuple[StackFrame, bool]]) -> dict[StackFrame, StackFrame]:
        """The same frames with file, line and source, for those that lie in a module's own source.

        Args:
            frames: with each, whether its address is where a call returns to. The call itself ends one byte before.
        """
        wanted: dict[StackFrame, int] = {}
        for frame, returns in frames:
            if frame.module in self._files:
                # The instruction at fault comes first, and on arm64 once more in the trace, exact there too.
                wanted.setdefault(frame, frame.offset - returns)
        self._look_up(wanted)
        located: dict[StackFrame, StackFrame] = {}
        for frame, offset in wanted.items():
            place = self._known.get((frame.module or "", frame.raw, offset))
            if place:
                ko = self._files[frame.module or ""][0]
                located[frame] = replace(frame, file=place[0], line=place[1], source=_line(ko, *place))
        return located

    def _look_up(self, wanted: dict[StackFrame, int]) -> None:
        """Ask addr2line, once for each section, for all that is not known yet."""
        asked: dict[tuple[Path, str], dict[int, list[tuple[str, str, int]]]] = defaultdict(lambda: defaultdict(list))
        for frame, offset in wanted.items():
            key = (frame.module or "", frame.raw, offset)
            if key in self._known:
                continue
            self._known[key] = None
            ko, loaded = self._files[key[0]]
            if not ko.is_file() or ko.stat().st_mtime_ns != loaded:
                # Built anew since: what runs is not what the file holds.
                continue
            symbol = self._symbol(ko, frame)
            if symbol:
                asked[ko, symbol.section][symbol.start + offset].append(key)
        for (ko, section), addresses in asked.items():
            text = self._run(["-a", "-i", "-j", section, "-e", ko, *map(hex, addresses)], ko.parent)
            for address, places in _blocks(text).items():
                own = next((place for place in places if not self._is_foreign(place[0])), None)
                for key in addresses.get(address, ()):
                    self._known[key] = own

    def _symbol(self, ko: Path, frame: StackFrame) -> _Symbol | None:
        """The function of that name; of several the one whose length fits (the kernel counts the gap after it too)."""
        if ko not in self._symbols:
            self._symbols[ko] = _functions(ko)
        found = [entry for entry in self._symbols[ko].get(frame.raw, ()) if entry.size <= frame.size]
        return min(found, key=lambda entry: frame.size - entry.size, default=None)

    def _is_foreign(self, file: str) -> bool:
        return any(Path(file).is_relative_to(folder) for folder in self._foreign)


def _functions(ko: Path) -> dict[str, list[_Symbol]]:
    found: dict[str, list[_Symbol]] = defaultdict(list)
    try:
        with ko.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            if isinstance(table, SymbolTableSection):
                for symbol in table.iter_symbols():
                    if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(symbol["st_shndx"], int):
                        section = elf.get_section(symbol["st_shndx"]).name
                        found[symbol.name].append(_Symbol(section, symbol["st_value"], symbol["st_size"]))
    except ELFError:
        # The kernel takes compressed files too. Without a line the complaint is still whole.
        return {}
    return found


def _blocks(text: str) -> dict[int, list[tuple[str, int]]]:
    """What addr2line says with -a and -i: an address, then its places, the innermost first."""
    blocks: dict[int, list[tuple[str, int]]] = {}
    places: list[tuple[str, int]] = []
    for line in text.splitlines():
        if line.startswith("0x"):
            places = blocks.setdefault(int(line, 16), [])
        elif match := PLACE.fullmatch(line):
            places.append((match[1], int(match[2])))
    return blocks


def _line(ko: Path, file: str, number: int) -> str:
    """The text of a line, without indentation; nothing where the file is newer than what was built from it."""
    path = Path(file)
    if not path.is_file() or path.stat().st_mtime_ns > ko.stat().st_mtime_ns:
        return ""
    lines = path.read_text(errors="replace").splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
