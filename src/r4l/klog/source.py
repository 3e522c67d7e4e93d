# SPDX-License-Identifier: MIT
"""Find the source line for an address in a loaded module, by the debug information in its .ko."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from r4l.elf import SHN_UNDEF, STT_FUNC, BoundedElf, UnfitElf
from r4l.klog.frames import StackFrame
from r4l.paths import followed, leads_to_file, text_or_none

Run = Callable[[Sequence[str | Path], Path, Path], str]
"""Function that runs a program of LLVM.

Takes the command, the folder to read and the folder to write; returns the output, whatever the exit code.
"""

LINK = ("ld.lld", "--noinhibit-exec", "--unresolved-symbols=ignore-all", "--entry=0")
"""Linker command.

A .ko is not linked and has all sections at address 0; linking gives each section its own address. Symbols of the kernel
stay unresolved.
"""
SYMBOLIZE = ("llvm-symbolizer", "--inlines", "--addresses", "--no-demangle")
PLACE = re.compile(r"(.+):([1-9]\d*):\d+")
WRITTEN = (".c", ".h", ".S", ".rs", ".inc")
"""Endings of the files whose lines are shown."""
LIBRARY = Path("/usr/lib/rustlib")
"""Folder of the standard library's source in the toolchain."""


@dataclass(frozen=True)
class _Function:
    start: int
    size: int


class Sources:
    """The .ko files loaded into a machine, and the source lines of their instructions.

    Args:
        run: runs a program of the toolchain.
        foreign: folders of sources that are compiled into modules but not written by their authors: the kernel, the
            kit.
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
        """Register a module that was loaded. Its file is read later, and only if it is still the same."""
        name = ko.stem.replace("-", "_")
        self._files[name] = (ko, ko.stat().st_mtime_ns)
        self._known = {key: value for key, value in self._known.items() if key[0] != name}

    def locate(self, frames: Iterable[tuple[StackFrame, bool]]) -> dict[StackFrame, StackFrame]:
        """Return the frames that lie in a module's own source, with file, line and source text added.

        Args:
            frames: pairs of a frame and True if its address is a return address; the call ends one byte before that.
                Frames that the unwinder marks as uncertain are skipped, as they would point to lines that did not run.
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
        """Resolve all frames that are not cached, with one run per module."""
        asked: dict[Path, dict[StackFrame, int]] = defaultdict(dict)
        for frame, offset in wanted.items():
            key = (frame.module or "", frame.raw, offset)
            if key in self._known:
                continue
            self._known[key] = None
            ko, loaded = self._files[key[0]]
            # A .ko that was rebuilt since is not the code that runs.
            if ko.is_file() and ko.stat().st_mtime_ns == loaded:
                asked[ko][frame] = offset
        for ko, frames in asked.items():
            for frame, place in self._places(ko, frames).items():
                self._known[frame.module or "", frame.raw, frames[frame]] = place

    def _places(self, ko: Path, frames: dict[StackFrame, int]) -> dict[StackFrame, tuple[str, int]]:
        """Return file and line of the frames in the module's own source; for inlined functions, the innermost."""
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
    """Read the functions of a linked file by name; empty if the file is no ELF file, since compressed modules load
    too."""
    found: dict[str, list[_Function]] = defaultdict(list)
    try:
        with linked.open("rb") as file:
            for symbol in BoundedElf(file).symbols():
                if symbol.kind == STT_FUNC and symbol.section != SHN_UNDEF:
                    found[symbol.name].append(_Function(symbol.value, symbol.size))
    except (UnfitElf, FileNotFoundError):
        return {}
    return found


def _fitting(functions: Iterable[_Function], size: int) -> _Function | None:
    """Select among functions of the same name the one of that size.

    The kernel's size includes the padding after a function.
    """
    fitting = [function for function in functions if function.size <= size]
    return min(fitting, key=lambda function: size - function.size, default=None)


def _blocks(text: str) -> dict[int, list[tuple[str, int]]]:
    """Parse the output of llvm-symbolizer: an address, then name and place of each function there, innermost first."""
    blocks: dict[int, list[tuple[str, int]]] = {}
    places: list[tuple[str, int]] = []
    for line in text.splitlines():
        if line.startswith("0x"):
            places = blocks.setdefault(int(line, 16), [])
        elif match := PLACE.fullmatch(line):
            places.append((match[1], int(match[2])))
    return blocks


def _line(ko: Path, file: str, number: int) -> str:
    """Return the text of a source line without indentation; empty if the source is newer than the module, or is none: a
    module can name any file of this machine as its source."""
    path = followed(Path(file))
    if path.suffix not in WRITTEN or not leads_to_file(path) or path.stat().st_mtime_ns > ko.stat().st_mtime_ns:
        return ""
    lines = text_or_none(path).splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
