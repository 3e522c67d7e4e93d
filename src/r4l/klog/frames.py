# SPDX-License-Identifier: MIT
"""Parse call traces and the faulting instruction from the lines of a complaint.

The patterns are for logs of all architectures of Linux, also those that `arch/` has no guests of: they are other
people's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from r4l.klog import kinds
from r4l.klog.demangle import demangle_text
from r4l.klog.records import Record

_ADDRESS = r"(?:\[<?(?:0x)?[0-9a-f]{4,16}>?\] ?|\[<(?:0|\(_{0,4}ptrval_{0,4}\))>\] ?){1,2}"
_SYMBOL = r"(?P<symbol><[\w.$<>:,&*;()\[\]{}# ]{1,400}>::[\w.$<>:{}#]{1,200}|[A-Za-z_.$<][\w.$<>:{}#]{0,1023})"
"""A name as the kernel prints it, or demangled, with blanks in `<A as B>::f`."""
_STACK = r"(?:<{1,2}[#A-Z_]{3,20}>{1,2}\s+)?"
"""The stack that the trace goes on with, before the first frame there (arch/x86/kernel/dumpstack_64.c up to 4.8)."""
_OFFSET = r"\+0x(?P<offset>[0-9a-f]{1,8})/0x(?P<size>[0-9a-f]{1,8})"
_MODULE = r"(?: \[(?P<module>\w{1,64})[^\]]{0,80}\])?"
_LINE = (
    r"(?:[^\s:()]{1,256}:-?\d{1,7}(?: \(discriminator \d{1,3}\))? ){0,8}"
    r"(?P<file>[^\s:()]{1,1024}\.\w{1,4}):(?P<line>-?\d{1,7})"
)
"""A source line. Of several, those before the last are of inlined functions (decode_stacktrace.sh)."""
FUNCTION = rf"{_SYMBOL}{_OFFSET}{_MODULE}"
"""`name+0x12/0x34 [module]`, as named groups."""
FRAME = re.compile(
    rf"(?:kmemleak: )?\s*{_STACK}(?:\(?{_ADDRESS}\s*|\[[0-9a-f]{{8}} : )?(?P<maybe>\? )?\(?{_SYMBOL}{_OFFSET}\)?"
    rf"{_MODULE}(?: \])?"
    rf"(?: +(?:\(?{_LINE}[^)]*\){{0,2}}|\([^)]*\)))?(?: \[inline\])?{_MODULE.replace('module', 'after')}\s*$"
)
"""A frame as printed by arch/*/kernel/{dumpstack,stacktrace,unwind*}.c and print_ip_sym, or as decode_stacktrace.sh
rewrites it."""
_LINE2 = _LINE.replace("file", "file2").replace("line", "line2")
ARM_FRAME = re.compile(
    r"\s*(?:\[<[0-9a-f]+>\] )?\(?(?P<callee>[\w.$]{1,255})(?:\+\S+)?(?: \[(?P<home>\w+)\])?\)?"
    r" from (?:\[<[0-9a-f]+>\] )?"
    rf"\(?{_SYMBOL}{_OFFSET}{_MODULE}(?: {_LINE}.*)?\)?(?: \({_LINE2}.*)?\s*$"
)
"""arch/arm/kernel/traps.c, dump_backtrace_entry: a function and its caller."""
ARM_WRAPPED = re.compile(r"\s*\[<[0-9a-f]+>\] \([\w.$]{1,255}\) from(?: \[<[0-9a-f]+>\])?\s*$")
"""The first half of such a frame, where a mail program has wrapped it; the other half looks like any frame."""
_NAMED = r"\){1,2} \[?(?P<module>\w{1,64})\]?"
"""The module as decode_stacktrace.sh writes it, after the source line."""
INLINE_FRAME = re.compile(
    rf"\s*(?P<maybe>\? )?{_SYMBOL} \(?{_LINE}[^)]*?(?:\){{0,2}}(?P<inline> \[inline\])?|{_NAMED})$"
)
"""A function inlined into the frame below it, or a frame whose address a symboliser has replaced; without blanks at its
end, which would be looked at again from each of them."""
INLINED = "[inline]"
"""End of a line that names an inlined function."""
WRAPPED = re.compile(r"\s*\[(\w{1,64})\]\s*$")
"""A module, in a line of its own where a mail program has wrapped the frame."""
PLACE = re.compile(
    r"\s*(?:RIP: [0-9a-f]{4}:|E?IP(?: is at|:) ?(?:[0-9a-f]{4}:)?|[Pp][Cc](?: is at| ?:) ?|epc\s*: |NIP |ERA: "
    r"|IAOQ\[0\]: |\[ERET *\]: |Krnl PSW : |TPC: |--- (?:interrupt|Exception): [0-9a-f]{3,4} at )"
    rf"(?:\[?<?[0-9a-f]{{8,16}}>?\]?\s+){{0,3}}[<(]{{0,2}}{_SYMBOL}"
    rf"(?:{_OFFSET}>?\)?{_MODULE}(?: \(?{_LINE})?| \(?{_LINE2}(?:[^)]*{_NAMED.replace('module', 'after')}\s*$)?)"
)
"""The line that names the faulting instruction, on x86 and i386, arm and arm64, riscv and mips, powerpc, loongarch,
s390, sparc, parisc, arc."""

LIBRARY = re.compile(r"[<&*]*(?:dyn )?(?:core|alloc|kernel|pin_init|kit)::")
"""Crates compiled into a module that its author did not write."""


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One line of a call trace.

    Attributes:
        symbol: the function, Rust names demangled.
        offset, size: offset in the function and the function's length, in bytes; 0 for an inlined function.
        module: the function's module, or None for the kernel itself.
        certain: False if the unwinder printed a question mark.
        raw: the symbol as the kernel printed it.
        file, line: place in the source: looked up in the module's own (`r4l.klog.source`), or as the log says.
        source: text of that line without indentation; empty if the file is missing or newer than the module.
        inlined: True if the log says that the function was inlined into the frame below it.
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
    inlined: bool = False

    @property
    def own(self) -> bool:
        """True if the function was written by a module's author, judged by its source file or, until that is looked up,
        its name."""
        return self.module is not None and (self.file is not None or not LIBRARY.match(self.symbol))

    @property
    def where(self) -> str:
        """Place in the source as `hello.rs:23: let x = …`; empty if unknown."""
        if self.file is None:
            return ""
        name = self.file.rpartition("/")[2]
        return (f"{name}:{self.line}" if self.line else name) + (f": {self.source}" if self.source else "")


@dataclass(frozen=True)
class Section:
    """A call trace within a complaint.

    Attributes:
        above: the line before the trace.
        called: True if the kernel announces the trace (`Call Trace:`).
        before: the faulting instruction named since the previous trace.
        frames: the frames of the trace, including faulting instructions named inside it.
    """

    above: str
    called: bool
    before: StackFrame | None = None
    frames: list[StackFrame] = field(default_factory=list)


@lru_cache(8192)
def frame_of(text: str) -> StackFrame | None:
    """Parse a line of a call trace; None for any other line."""
    match = FRAME.match(text) if "+0x" in text else None
    if match:
        # arch/powerpc/kernel/process.c and arch/s390/kernel/dumpstack.c, show_stack
        doubtful = match["maybe"] or text.rstrip().endswith("(unreliable)") or text.lstrip().startswith("([<")
        return frame_from(match, certain=not doubtful)
    if " from " in text and (match := ARM_FRAME.match(text)):
        return frame_from(match)
    return None


def inlined_of(text: str) -> StackFrame | None:
    """Parse a line that names a function with its source and without an address; None for any other line."""
    match = INLINE_FRAME.match(text.rstrip()) if ":" in text else None
    if match is None:
        return None
    name = match["symbol"]
    return StackFrame(
        demangle_text(name),
        0,
        0,
        match["module"],
        not match["maybe"],
        name,
        match["file"],
        _line(match["line"]),
        inlined=match["inline"] is not None,
    )


def place_of(text: str) -> StackFrame | None:
    """Parse the faulting instruction that a line names (`RIP:`, `pc :`); None for any other line."""
    match = PLACE.match(text)
    if match is None:
        return None
    frame = frame_from(match)
    return replace(frame, inlined=True) if text.rstrip().endswith(INLINED) else frame


def sections(records: Iterable[Record]) -> list[Section]:
    """Return the call traces of a complaint in order; without traces, one section that holds the faulting
    instruction."""
    found: list[Section] = []
    inside: Section | None = None
    place: StackFrame | None = None
    above = ""
    for record in records:
        text = record.text
        # Cheap first: nearly all lines are something else.
        if text.endswith("]") and "+0x" not in text and (wrapped := WRAPPED.match(text)):
            if inside and inside.frames:
                inside.frames[-1] = _of_module(inside.frames[-1], wrapped[1])
            elif place and not inside:
                place = _of_module(place, wrapped[1])
            continue
        frame = frame_of(text)
        if frame is None and " from" in text and ARM_WRAPPED.match(text):
            continue
        if begins := inside is None if frame else kinds.opens_trace(text):
            inside = Section(above, not frame, place)
            found.append(inside)
            # A trace that is not announced may be that of another task, which printed in between.
            place = None if inside.called else place
        if frame or (inside and (frame := place_of(text) or inlined_of(text))):
            assert inside is not None, "a frame opens a section"
            if not (inside.frames or inside.before) and (innermost := _callee_of(text)):
                inside.frames.append(innermost)
            inside.frames.append(frame)
            if not inside.called:
                place = place or place_of(text)
        elif begins:
            continue
        elif kinds.SECTION_END.match(text) or ((not inside or not inside.called) and (text.strip() or inside)):
            inside, above = None, text
            # The function that the faulting one was inlined into stands in the next line.
            place = place if place and not place.inlined else place_of(text) or place
    if place and not any(section.frames for section in found):
        found.append(Section(above, False, place))
    return [section for section in found if section.frames or section.before]


def _callee_of(text: str) -> StackFrame | None:
    """Parse the function that another one calls in a line of a trace on arm; None for any other line."""
    match = ARM_FRAME.match(text) if " from " in text else None
    return StackFrame(demangle_text(match["callee"]), 0, 0, match["home"], True, match["callee"]) if match else None


def _of_module(frame: StackFrame, module: str) -> StackFrame:
    """Return a frame with the module from the line after it."""
    return frame if frame.module else replace(frame, module=module)


def main_section(found: Sequence[Section], kind: str) -> Section:
    """Return the trace that shows where the complaint arose, or an empty section.

    Among several announced traces the first counts: later ones give context, such as KASAN's stack of the free.
    """
    first = next(iter(found), Section("", False))
    if kind in kinds.TRACE and (named := [each for each in found if kinds.TRACE[kind].match(each.above)]):
        return named[0]
    return first if kind in kinds.BARE else next((section for section in found if section.called), first)


def _line(digits: str | None) -> int | None:
    """Number of a source line; symbolisers write 0 or -1 for an unknown one."""
    return int(digits) if digits and int(digits) > 0 else None


def frame_from(match: re.Match[str], *, certain: bool = True) -> StackFrame:
    """Build a frame from the groups of a match (`FUNCTION` and its extensions)."""
    found = match.groupdict("")
    line = found.get("line") or found.get("line2")
    return StackFrame(
        demangle_text(found["symbol"]),
        int(found["offset"] or "0", 16),
        int(found["size"] or "0", 16),
        found["module"] or found.get("after") or None,
        certain,
        found["symbol"],
        found.get("file") or found.get("file2") or None,
        _line(line),
    )
