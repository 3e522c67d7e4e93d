# SPDX-License-Identifier: MIT
"""Strip what other programs put before the kernel's words in a log. The shapes are listed in prefixes.toml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from r4l import resources
from r4l.klog import kinds
from r4l.klog.markup import from_html, from_json
from r4l.klog.records import ESCAPE, LEVELS, LINE_LIMIT, Record

_ROW = {"name!": str, "stage": str, "pattern": str, "examples": [str], "kernel?": bool}
_SHAPE_OF_FILE = {"stages": [str], "parts": {"*": str}, "prefix": [_ROW]}
_FILE = resources.table(__package__, "prefixes.toml", _SHAPE_OF_FILE)
PREFIXES = _FILE["prefix"]
_GROUP = re.compile(r"\(\?P<(\w+)>")
_NAMES = {**{name: number for number, name in enumerate(LEVELS)}, "panic": 0, "error": 3, "warn": 4}
TORN = re.compile(r"(?:<\d{1,4}>)?\[ {0,8}\d{1,10}\.\d{6}\](?:\[ *[TC]\d+\])? ?")
"""A message that begins within a line, because two writers share a serial port."""
QUOTED = re.compile(r'"[,;]?$')
"""End of a quoted line."""
COLOUR = re.compile(r"(?:\^\[|#033|\\x1b|\\033)?\[\d{1,3}(?:;\d{1,3}){0,4}m")
"""A change of colours whose escape character was lost, or made visible."""
LINE_END = "#012"
"""An end of a line within a message, as syslog daemons write it."""
ENDS = ("^M", "#015", "\\n", "\\r", "\\n'", '\\n"', "\\n',", '\\n",', '"}')
"""Ends of lines made visible, by cat -v, by syslog daemons, by Python; the end of a JSON object whose begin is cut."""
VISIBLE = ("^M", "#015", "\\r", "\\n", "'", '"', ",", "}")
"""Their parts, which stand there in any number."""
CLOCK = re.compile(r"\b([012]\d):([0-5]\d):([0-6]\d(?:\.\d{1,9})?)\b")
"""A time of day within a prefix."""
NO_BREAK = "\u00a0"
"""A blank on web pages."""


CONSOLE = re.compile(
    r"(?:<(\d{1,4})>)?\[ *(\d{1,10}\.\d{1,9})\](?:\[ *([TC]\d{1,7})\])?"
    r"(?: (?!<[0-7]>| *\[ *[TC]?\d{1,7}[:\]]| *[.-]?\(\d| *c\d{1,2} |(?:[\w.-]{1,64} )?kernel: )|$)"
)
"""The kernel's own prefix with no other stage behind it; nearly all lines match."""


def _whole(pattern: str) -> str:
    """Return a pattern of the table with the parts that it names."""
    for name, part in _FILE["parts"].items():
        pattern = pattern.replace(f"{{{name}}}", part)
    return pattern


def _shape() -> re.Pattern[str]:
    """Build the pattern for a whole prefix.

    Each stage is one of its prefixes or empty, so the pattern always matches without backtracking.
    """
    numbers = count()
    stages = []
    for stage in _FILE["stages"]:
        marked = [
            f"(?P<{'own' if entry['kernel'] else 'other'}>{_whole(entry['pattern'])})"
            if "kernel" in entry
            else _whole(entry["pattern"])
            for entry in PREFIXES
            if entry["stage"] == stage
        ]
        stages.append(f"(?:{'|'.join(marked)})?")
    # A group's name may stand once in an expression.
    return re.compile(_GROUP.sub(lambda match: f"(?P<{match[1]}_{next(numbers)}>", "".join(stages)))


_SHAPE = _shape()
_PARTS = [name.split("_")[0] for name in _SHAPE.groupindex]
_INDEXES = tuple(_SHAPE.groupindex.values())


def parse_any_line(line: str, number: int = 0) -> list[Record]:
    """Parse a line of any log into records: one, or more if a message begins within the line.

    The `kernel` attribute of a record is None if the line does not say who wrote it.

    Args:
        number: of the line in its file, from 1.
    """
    if "\x1b" in line:
        line = ESCAPE.sub("", line)
    if NO_BREAK in line:
        line = line.replace(NO_BREAK, " ")
    if "[0m" in line:
        line = COLOUR.sub("", line)
    line = line.rstrip("\r\n\0 ")
    if "&" in line or line.endswith(">"):
        line = from_html(line)
    if ('"' in line or "{" in line or "}" in line) and (found := from_json(line)) is not None:
        return [record for text, kernel in found for record in _of_message(text, kernel, number)]
    if line.endswith(ENDS):
        line = _without(line, VISIBLE)
    return [record for piece in _pieces(line) for record in _records(piece, number)]


def _of_message(text: str, kernel: bool | None, number: int) -> list[Record]:
    """Parse a line that stood in JSON; an empty one gives none."""
    records = [record for piece in _pieces(text) for record in _records(piece, number)] if text else []
    return records if kernel is None else [replace(record, kernel=kernel) for record in records]


def _pieces(line: str) -> Sequence[str]:
    """Cut a line that is longer than any but one of JSON may be."""
    if len(line) <= LINE_LIMIT:
        return (line,)
    return [line[at : at + LINE_LIMIT] for at in range(0, len(line), LINE_LIMIT)]


def _records(line: str, number: int) -> list[Record]:
    """Parse a line that is plain text."""
    records: list[Record] = []
    while True:
        record = _record(line, number)
        # Cheap first: nearly all lines have one stamp.
        torn = TORN.search(record.text) if "[" in record.text else None
        if torn is None:
            if LINE_END not in record.text:
                return [*records, record]
            return records + [replace(record, text=text) for text in record.text.split(LINE_END)]
        head = record.text[: torn.start()]
        line = record.text[torn.start() :]
        if head.strip() and (record.kernel is not None or _is_kernels(head)):
            records.append(replace(record, text=head))
        elif head.endswith('"'):
            line = QUOTED.sub("", line)


def _without(line: str, marks: Sequence[str]) -> str:
    """Return a line without the marks at its end. A pattern would look at many of them again from each."""
    end = len(line)
    while mark := next((one for one in marks if line.endswith(one, 0, end)), ""):
        end -= len(mark)
    return line[:end]


def _is_kernels(head: str) -> bool:
    """True if a text before a stamp is the kernel's, rather than a prompt or a prefix that no table lists."""
    return "+0x" in head or kinds.begins(head) or bool(kinds.BELONGS.match(head.lstrip()))


def _record(line: str, number: int) -> Record:
    if match := CONSOLE.match(line):
        level, time, caller = match.groups()
        return Record(line[match.end() :], float(time), int(level) & 7 if level else None, caller, True, number)
    match = _SHAPE.match(line)
    assert match is not None, "each stage may be empty"
    end = match.end()
    if not end:
        return Record(line, kernel=None, number=number)
    # A frame begins with blanks of its own.
    text = line[end + 1 :] if line[end - 1] not in " ;>=" and line[end : end + 1] == " " else line[end:]
    found = {part: word for part, word in zip(_PARTS, match.group(*_INDEXES), strict=True) if word}
    seconds = float(found["time"]) if "time" in found else int(found["usec"]) / 1e6 if "usec" in found else None
    level_number = int(found["level"]) & 7 if "level" in found else _NAMES.get(found.get("name", "").lower())
    caller = found.get("caller") or (f"T{found['task']}" if "task" in found else None)
    kernel = True if "own" in found else False if "other" in found else None
    machine = "/".join(found[part] for part in ("host", "guest") if part in found)
    clock = None
    if seconds is None and (stamp := CLOCK.search(line, 0, end)):
        clock = int(stamp[1]) * 3600 + int(stamp[2]) * 60 + float(stamp[3])
    return Record(text, seconds, level_number, caller, kernel, number, machine, clock)
