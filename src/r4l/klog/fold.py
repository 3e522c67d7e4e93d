# SPDX-License-Identifier: MIT
"""A complaint for a reader: names demangled, lines of source beside frames, the kernel's own frames in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
