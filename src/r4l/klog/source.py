# SPDX-License-Identifier: MIT
"""Find the source line for an address in a loaded module, by the debug information in its .ko."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from r4l.klog import functions
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


class Sources:
    """The .ko files loaded into a machine, and the source lines of their instructions.

    Args:
        run: runs a program of the toolchain.
        foreign: folders of sources that are compiled into modules but not written by their authors: the kernel, the
            kit.

    Attributes:
        notes: for each .ko file that could not tell a line that was asked for, the reason as the end of a sentence.
    """

    def __init__(self, run: Run, foreign: Iterable[Path] = ()) -> None:
        self._run = run
        self._foreign = (LIBRARY, *foreign)
        self._files: dict[str, tuple[Path, int]] = {}
        self._functions: dict[str, dict[str, list[functions.CodeSymbol]]] = {}
        self._known: dict[tuple[str, str, int, int], tuple[str, int] | None] = {}
        self.notes: dict[Path, str] = {}

    @property
    def files(self) -> dict[str, Path]:
        """The .ko files, by the names that lsmod shows."""
        return {name: path for name, (path, _) in self._files.items()}

    def add(self, ko: Path) -> None:
        """Register a module that was loaded. Its file is read later, and only if it is still the same."""
        name = ko.stem.replace("-", "_")
        self._files[name] = (ko, ko.stat().st_mtime_ns)
        self._functions.pop(name, None)
        self._known = {key: value for key, value in self._known.items() if key[0] != name}

    def locate(self, frames: Iterable[tuple[StackFrame, bool]]) -> dict[StackFrame, StackFrame]:
        """Return the frames that lie in a module's own source, with file, line and source text added.

        If one frame cannot be of the .ko file, the file is of another build, and gives no line for any of them.

        Args:
            frames: pairs of a frame and True if its address is a return address; the call ends one byte before that.
                Frames that the unwinder marks as uncertain are skipped, as they would point to lines that did not run.
        """
        wanted: dict[str, dict[StackFrame, int]] = defaultdict(dict)
        for frame, returns in frames:
            if frame.module in self._files and frame.certain:
                # The instruction at fault comes first, and on arm64 once more in the trace, exact there too.
                wanted[frame.module or ""].setdefault(frame, frame.offset - returns)
        located: dict[StackFrame, StackFrame] = {}
        for name, offsets in wanted.items():
            if not self._is_of(name, offsets):
                continue
            self._look_up(name, offsets)
            for frame, offset in offsets.items():
                if place := self._known.get(_key(frame, offset)):
                    ko = self._files[name][0]
                    located[frame] = replace(frame, file=place[0], line=place[1], source=_line(ko, *place))
        return located

    def _is_of(self, name: str, offsets: Mapping[StackFrame, int]) -> bool:
        """True if all frames of a module can be of its file."""
        ko = self._files[name][0]
        if name not in self._functions:
            if not self._is_same(name):
                return False
            self._functions[name] = functions.of_module(ko)
        known = self._functions[name]
        if not known:
            self.notes[ko] = "has no symbols, so its frames have no lines"
        elif other := functions.stranger(offsets, known):
            self.notes[ko] = f"is not the module of this log: {other.raw} has another size there, or is missing"
            return False
        return bool(known)

    def _is_same(self, name: str) -> bool:
        """True if the file of a module is the one that was loaded. A .ko that was rebuilt since is not the code that
        runs."""
        ko, loaded = self._files[name]
        return ko.is_file() and ko.stat().st_mtime_ns == loaded

    def _look_up(self, name: str, offsets: Mapping[StackFrame, int]) -> None:
        """Resolve all frames of a module that are not cached, in one run."""
        asked = {frame: offset for frame, offset in offsets.items() if _key(frame, offset) not in self._known}
        self._known |= {_key(frame, offset): None for frame, offset in asked.items()}
        if asked and self._is_same(name):
            for frame, place in self._places(name, asked).items():
                self._known[_key(frame, asked[frame])] = place

    def _places(self, name: str, offsets: Mapping[StackFrame, int]) -> dict[StackFrame, tuple[str, int]]:
        """Return file and line of the frames in the module's own source; for inlined functions, the innermost."""
        ko = self._files[name][0]
        with tempfile.TemporaryDirectory(prefix="r4l-") as folder:
            linked = Path(folder) / "linked"
            self._run([*LINK, "-o", linked, ko], ko.parent, linked.parent)
            starts = functions.starts(linked)
            found = {
                frame: functions.address(frame, offset, self._functions[name], starts)
                for frame, offset in offsets.items()
            }
            addresses = {frame: address for frame, address in found.items() if address is not None}
            if not addresses:
                if not starts:
                    self.notes[ko] = "could not be linked by ld.lld, so its frames have no lines"
                return {}
            text = self._run([*SYMBOLIZE, f"--obj={linked}", *map(hex, addresses.values())], ko.parent, linked.parent)
        blocks = _blocks(text)
        if not blocks:
            self.notes[ko] = "could not be read by llvm-symbolizer, so its frames have no lines"
        elif not any(blocks.values()):
            self.notes[ko] = "has no debug information, so its frames have no lines"
        own = {
            frame: next((place for place in blocks.get(address, ()) if not self._is_foreign(place[0])), None)
            for frame, address in addresses.items()
        }
        return {frame: place for frame, place in own.items() if place}

    def _is_foreign(self, file: str) -> bool:
        return any(Path(file).is_relative_to(folder) for folder in self._foreign)


def _key(frame: StackFrame, offset: int) -> tuple[str, str, int, int]:
    return frame.module or "", frame.raw, frame.size, offset


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
