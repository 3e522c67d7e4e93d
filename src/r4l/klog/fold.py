# SPDX-License-Identifier: MIT
"""Format a complaint for a reader: names demangled, source lines beside frames, the kernel's own frames folded into one
line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from r4l.klog import kinds
from r4l.klog.demangle import demangle_text
from r4l.klog.frames import StackFrame, frame_of, place_of
from r4l.klog.records import Record

FLAGS = ("<TASK>", "</TASK>", "<IRQ>", "</IRQ>")
"""Marks within a trace, dropped where the frames beside them are folded."""


def readable(records: Iterable[Record], located: Mapping[StackFrame, StackFrame]) -> str:
    """Return a complaint as text.

    Args:
        located: frames as read by `frame_of` and `place_of`, mapped to the same frames with source lines.
    """
    lines: list[str] = []
    folded = 0
    for record in records:
        frame = frame_of(record.text)
        if frame and is_noise(frame):
            folded += 1
            continue
        if folded and record.text.strip() in FLAGS:
            continue
        lines += _gap(folded)
        folded = 0
        known = located.get(found) if (found := frame or place_of(record.text)) else None
        text = demangle_text(str(record))
        lines.append(f"{text}  {known.where}" if known and known.where else text)
    return "\n".join(lines + _gap(folded))


def is_noise(frame: StackFrame) -> bool:
    """True if a frame tells nothing about the fault, such as system call entry or the printing of the complaint."""
    if frame.module:
        return False
    return not frame.certain or bool(kinds.NOISE.match(frame.symbol))


def _gap(count: int) -> list[str]:
    return [f" … {count} frame{'s' if count > 1 else ''} of the kernel"] if count else []


Folded = StackFrame | int
"""A frame of a trace, or the number of frames left out."""
AROUND = 10
"""Frames shown, counted outwards from the culprit."""


def folded(trace: Sequence[StackFrame], culprit: StackFrame) -> list[Folded]:
    """Shorten a trace for a reader: the culprit and some of its callers.

    Frames that the unwinder marks as uncertain, and functions that only carry the message, are left out.
    """
    certain = [frame for frame in trace if frame.certain]
    begin = certain.index(culprit) if culprit in certain else 0
    shown: list[Folded] = [begin] if begin else []
    if culprit not in certain:
        shown.insert(0, culprit)
    rest = [frame for frame in certain[begin:] if frame == culprit or not is_noise(frame)]
    left = len(certain) - begin - len(rest[:AROUND])
    return [*shown, *rest[:AROUND], *([left] if left else [])]
