# SPDX-License-Identifier: MIT
"""A complaint for a reader: names demangled, lines of source beside frames, the kernel's own frames in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from r4l.klog import kinds
from r4l.klog.demangle import demangle_text
from r4l.klog.frames import StackFrame, frame_of, place_of
from r4l.klog.records import Record

FLAGS = ("<TASK>", "</TASK>", "<IRQ>", "</IRQ>")
"""Marks within a trace, which say nothing where the frames beside them are folded."""


def readable(records: Iterable[Record], located: Mapping[StackFrame, StackFrame]) -> str:
    """The text of a complaint.

    Args:
        located: frames as `frame_of` and `place_of` read them, to what is known of their source.
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
    """Whether a frame tells nothing about what happened: how a system call enters, how a complaint is printed."""
    if frame.module:
        return False
    return not frame.certain or bool(kinds.NOISE.match(frame.symbol))


def _gap(count: int) -> list[str]:
    return [f" … {count} frame{'s' if count > 1 else ''} of the kernel"] if count else []


Folded = StackFrame | int
"""A frame of a trace, or how many are left out."""
AROUND = 10
"""Frames that are shown from the one that is to blame outwards."""


def folded(trace: Sequence[StackFrame], culprit: StackFrame) -> list[Folded]:
    """A trace for a reader: the frame that is to blame and some of those that called it.

    What the unwinder does not vouch for is left out, and so are those that only carry the message.
    """
    certain = [frame for frame in trace if frame.certain]
    begin = certain.index(culprit) if culprit in certain else 0
    shown: list[Folded] = [begin] if begin else []
    if culprit not in certain:
        shown.insert(0, culprit)
    rest = [frame for frame in certain[begin:] if frame == culprit or not is_noise(frame)]
    left = len(certain) - begin - len(rest[:AROUND])
    return [*shown, *rest[:AROUND], *([left] if left else [])]
