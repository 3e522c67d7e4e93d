# SPDX-License-Identifier: MIT
"""Functions of a .ko file, with the sizes that the kernel prints for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from r4l.elf import SHN_UNDEF, STT_FUNC, BoundedElf, ElfSymbol, UnfitElf
from r4l.klog.frames import StackFrame

SHF_ALLOC, SHF_EXECINSTR = 2, 4
LARGEST_PAGE = 1 << 16
"""Bytes of the largest page of any architecture."""
_NO_NAME = re.compile(r"$|\$|\.L|L0")
"""Begin of a symbol that the kernel passes over (include/linux/module_symbol.h, `is_mapping_symbol`)."""


@dataclass(frozen=True)
class CodeSymbol:
    """A function, or another symbol of code.

    Attributes:
        size: bytes of its code, as the compiler says; 0 if unknown.
        room: bytes until the next symbol of its section, which is the size that the kernel prints
            (kernel/module/kallsyms.c, `find_kallsyms_symbol`); None for the last one, whose room depends on the
            sections that the kernel puts behind it.
        is_code: True for a function.
    """

    size: int
    room: int | None
    is_code: bool = True

    def has(self, frame: StackFrame) -> bool:
        """True if a frame with this function's name can be of this function."""
        if self.room is not None:
            return frame.size == self.room
        return self.size <= frame.size < self.size + 2 * LARGEST_PAGE


def of_module(ko: Path) -> dict[str, list[CodeSymbol]]:
    """Read the functions of a .ko file by name, those of one name in the file's order; empty if it is no ELF file."""
    found: dict[str, list[CodeSymbol]] = defaultdict(list)
    try:
        with ko.open("rb") as file:
            elf = BoundedElf(file)
            code = {
                number
                for number, section in enumerate(elf.sections)
                if section.flags & SHF_ALLOC and section.flags & SHF_EXECINSTR
            }
            symbols = [one for one in elf.symbols() if one.section in code and not _NO_NAME.match(one.name)]
    except (UnfitElf, FileNotFoundError):
        return {}
    following = _following(symbols)
    for symbol in symbols:
        after = following.get((symbol.section, symbol.value))
        room = after - symbol.value if after is not None else None
        found[symbol.name].append(CodeSymbol(symbol.size, room, symbol.kind == STT_FUNC))
    return dict(found)


def starts(linked: Path) -> dict[str, list[tuple[int, int]]]:
    """Read address and size of the functions of a linked file by name, in the file's order; empty if it is no ELF
    file."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    try:
        with linked.open("rb") as file:
            for symbol in BoundedElf(file).symbols():
                if symbol.kind == STT_FUNC and symbol.section != SHN_UNDEF:
                    found[symbol.name].append((symbol.value, symbol.size))
    except (UnfitElf, FileNotFoundError):
        return {}
    return dict(found)


def stranger(frames: Mapping[StackFrame, int], functions: Mapping[str, list[CodeSymbol]]) -> StackFrame | None:
    """Return the first frame that cannot be of a module with these functions, or None.

    Names that a program has demangled, and frames without a size, tell nothing.
    """
    for frame in frames:
        if not frame.size or "::" in frame.raw:
            continue
        if not any(function.has(frame) for function in functions.get(frame.raw, ())):
            return frame
    return None


def address(
    frame: StackFrame,
    offset: int,
    functions: Mapping[str, list[CodeSymbol]],
    linked: Mapping[str, list[tuple[int, int]]],
) -> int | None:
    """Return the address of an instruction in the linked file; None if no function there can have it.

    Args:
        frame: the frame.
        offset: bytes from its function's begin.
        functions: those of the .ko file.
        linked: those of the linked file, where each section has an address.
    """
    same = [function for function in functions.get(frame.raw, ()) if function.is_code]
    places = linked.get(frame.raw, [])
    if [size for _, size in places] != [function.size for function in same]:
        return None
    fitting = [
        (function.room is None, start + offset)
        for function, (start, _) in zip(same, places, strict=True)
        if function.has(frame) and 0 <= offset < (function.size or frame.size)
    ]
    # A size that is exact counts more than one that is possible.
    return min(fitting, key=lambda each: each[0])[1] if fitting else None


def _following(symbols: list[ElfSymbol]) -> dict[tuple[int, int], int]:
    """Return the next larger value in its section for each symbol's section and value that has one."""
    places = sorted({(symbol.section, symbol.value) for symbol in symbols})
    return {one: after[1] for one, after in pairwise(places) if one[0] == after[0]}
