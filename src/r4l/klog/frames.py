# SPDX-License-Identifier: MIT
"""Call traces and the instruction at fault, read from a complaint's lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from r4l.klog.demangle import demangle_text
from r4l.klog.records import Record

FRAME = re.compile(
    r"^(?:kmemleak: )?\s+(?:\[<[0-9a-f]+>\] )?(\? )?([\w.$<>:]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)"
    r"(?: \[([\w]+)[^\]]*\])?(?: \(\S+\))?\s*$"
)
PLACE = re.compile(r"^(?:RIP: \w+:|pc : )([\w.$]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[(\w+)[^\]]*\])?")
BEGIN = re.compile(r"^(?:call trace:|kmemleak:   backtrace\b)", re.IGNORECASE)
END = re.compile(r"^\s*(?:</TASK>|(?:Allocated|Freed|Last potentially related work creation|Shutdown)\b.*:$)")
"""After it come other traces, such as KASAN's of who allocated (mm/kasan/report.c, print_track)."""

LIBRARY = re.compile(r"^[<&*]*(?:dyn )?(?:core|alloc|kernel|pin_init|kit)::")
"""Crates that are compiled into a module but are not its author's."""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One line of a call trace.

    Attributes:
        symbol: the function, Rust names demangled.
        offset, size: where in the function (bytes), and how long it is.
        module: the module it is in, or None for the kernel itself.
        certain: whether the unwinder vouches for it (no question mark).
        raw: the symbol as the kernel printed it.
        file, line: where in the module's own source, once that was looked up (`r4l.klog.source`).
        source: the text of that line, without indentation; empty where the file is gone or has changed since.
    """

    symbol: str
    offset: int
    size: int
    module: str | None
    certain: bool
    raw: str
    file: str | None = None
    line: int | None = None
    source: str = ""

    @property
    def own(self) -> bool:
        """Whether the function is a module author's: its source tells, or as long as that is not known, its name."""
        return self.file is not None or (self.module is not None and not LIBRARY.match(self.symbol))

    @property
    def where(self) -> str:
        """`hello.rs:23: let x = …`; empty where that is not known."""
        if self.file is None:
            return ""
        name = self.file.rpartition("/")[2]
        return f"{name}:{self.line}" + (f": {self.source}" if self.source else "")


def frame_of(text: str) -> StackFrame | None:
    """The frame that a line of a call trace is; None for any other line."""
    match = FRAME.match(text)
    return _frame(match[2], match[3], match[4], match[5], not match[1]) if match else None


def place_of(text: str) -> StackFrame | None:
    """The instruction at fault that a line names (`RIP:`, `pc :`); None for any other line."""
    match = PLACE.match(text)
    return _frame(match[1], match[2], match[3], match[4], True) if match else None


def trace(records: Iterable[Record]) -> tuple[StackFrame, ...]:
    """The call trace. Of several, the first: that is where it happened."""
    frames: list[StackFrame] = []
    inside = False
    for record in records:
        if BEGIN.match(record.text):
            if frames:
                break
            inside = True
        elif inside and END.match(record.text):
            inside = False
        elif inside and (frame := frame_of(record.text)):
            frames.append(frame)
    return tuple(frames)


def place(records: Iterable[Record]) -> StackFrame | None:
    """The instruction at fault, where one is named."""
    return next((found for record in records if (found := place_of(record.text))), None)


def culprit(frames: Iterable[StackFrame | None]) -> StackFrame | None:
    """The frame to look at first, of those from the innermost to the outermost.

    A function of a module's author, else of a module, else the innermost.
    """
    certain = [frame for frame in frames if frame and frame.certain]
    own = (frame for frame in certain if frame.own)
    modules = (frame for frame in certain if frame.module)
    return next(chain(own, modules, certain), None)


def _frame(raw: str, offset: str, size: str, module: str | None, certain: bool) -> StackFrame:
    return StackFrame(demangle_text(raw), int(offset, 16), int(size, 16), module, certain, raw)
