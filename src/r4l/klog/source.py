# SPDX-License-Identifier: MIT
"""From an address in a loaded module to the line of its source, by the debug information in its .ko."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from r4l.klog.frames import StackFrame

Run = Callable[[Sequence[str | Path], Path, Path], str]
"""Runs a program of LLVM's that reads in one folder and writes in another; returns what it says, however it ends."""

LINK = ("ld.lld", "--noinhibit-exec", "--unresolved-symbols=ignore-all", "--entry=0")
"""A .ko is not linked yet: all its sections are at address 0. This gives each its own, and what the kernel has is left
open."""
SYMBOLIZE = ("llvm-symbolizer", "--inlines", "--addresses", "--no-demangle")
PLACE = re.compile(r"(.+):([1-9]\d*):\d+")
LIBRARY = Path("/usr/lib/rustlib")
"""Where the standard library's source lies in the toolchain."""


@dataclass(frozen=True)
class _Function:
    start: int
    size: int


class Sources:
    """The .ko files that were loaded into a machine, and the lines that their instructions come from.

    Args:
        run: how to run the toolchain's programs.
        foreign: folders of sources that are compiled into modules but are not their authors': the kernel's, the kit's.
    """

    def __init__(self, run: Run, foreign: Iterable[Path] = ()) -> None:
        self._run = run
        self._foreign = (LIBRARY, *foreign)
        self._files: dict[str, tuple[Path, int]] = {}
        self._known: dict[tuple[str, str, int], tuple[str, int] | None] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The .ko files, by the names that lsmod shows."""
        return {name: path for name, (path, _) in self._files.items()}

    def add(self, ko: Path) -> None:
        """A module has been loaded. Its file is looked at when it is needed, if it is the same then."""
        name = ko.stem.replace("-", "_")
        self._files[name] = (ko, ko.stat().st_mtime_ns)
        self._known = {key: value for key, value in self._known.items() if key[0] != name}

    def locate(self, frames: Iterable[tuple[StackFrame, bool]]) -> dict[StackFrame, StackFrame]:
        """The same frames with file, line and source, for those that lie in a module's own source.

        Args:
            frames: with each, whether its address is where a call returns to. The call itself ends one byte before.
                What the unwinder does not vouch for is left out: it would point at some line that was not run.
        """
        wanted: dict[StackFrame, int] = {}
        for frame, returns in frames:
            if frame.module in self._files and frame.certain:
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
        """Ask, once for each module, for all that is not known yet."""
        asked: dict[Path, dict[StackFrame, int]] = defaultdict(dict)
        for frame, offset in wanted.items():
            key = (frame.module or "", frame.raw, offset)
            if key in self._known:
                continue
            self._known[key] = None
            ko, loaded = self._files[key[0]]
            # Built anew since then, the file is not what runs.
            if ko.is_file() and ko.stat().st_mtime_ns == loaded:
                asked[ko][frame] = offset
        for ko, frames in asked.items():
            for frame, place in self._places(ko, frames).items():
                self._known[frame.module or "", frame.raw, frames[frame]] = place

    def _places(self, ko: Path, frames: dict[StackFrame, int]) -> dict[StackFrame, tuple[str, int]]:
        """File and line of those that lie in the module's own source: of functions that were inlined, the innermost."""
        with tempfile.TemporaryDirectory(prefix="r4l-") as folder:
            linked = Path(folder) / "linked"
            self._run([*LINK, "-o", linked, ko], ko.parent, linked.parent)
            functions = _functions(linked)
            addresses = {
                frame: function.start + offset
                for frame, offset in frames.items()
                if (function := _fitting(functions.get(frame.raw, ()), frame.size))
            }
            if not addresses:
                return {}
            text = self._run([*SYMBOLIZE, f"--obj={linked}", *map(hex, addresses.values())], ko.parent, linked.parent)
        blocks = _blocks(text)
        own = {
            frame: next((place for place in blocks.get(address, ()) if not self._is_foreign(place[0])), None)
            for frame, address in addresses.items()
        }
        return {frame: place for frame, place in own.items() if place}

    def _is_foreign(self, file: str) -> bool:
        return any(Path(file).is_relative_to(folder) for folder in self._foreign)


def _functions(linked: Path) -> dict[str, list[_Function]]:
    """The functions in a file by name; none where it is no ELF file, as the kernel takes compressed modules too."""
    found: dict[str, list[_Function]] = defaultdict(list)
    try:
        with linked.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            if isinstance(table, SymbolTableSection):
                for symbol in table.iter_symbols():
                    if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                        found[symbol.name].append(_Function(symbol["st_value"], symbol["st_size"]))
    except (ELFError, FileNotFoundError):
        return {}
    return found


def _fitting(functions: Iterable[_Function], size: int) -> _Function | None:
    """Of functions of the same name, the one of that length; the kernel counts the gap after it as well."""
    fitting = [function for function in functions if function.size <= size]
    return min(fitting, key=lambda function: size - function.size, default=None)


def _blocks(text: str) -> dict[int, list[tuple[str, int]]]:
    """What llvm-symbolizer says: an address, then a name and a place for each function there, the innermost first."""
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
    lines = path.read_text(errors="replace", encoding="utf-8").splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
