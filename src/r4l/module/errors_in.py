# SPDX-License-Identifier: MIT
"""The output of make, cut into the errors of rustc, gcc, clang, modpost and the linker, each with its notes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

BEGIN = re.compile(
    r"error(?:\[E\d+\])?: |\S.*?:\d+(?::\d+)?: (?:fatal )?error: |(?:\S*/)?cc1: (?:fatal )?error: |ERROR: modpost: "
    r"|make(?:\[\d+\])?: \*\*\* No rule |.*\bld(?:\.lld)?: (?:error: |cannot )|.*: undefined reference to "
    r"|.*(?:Kbuild|[Mm]akefile)(?:\.\w+)?:\d+: \*\*\* "
)
"""First line of an error."""
OTHER = re.compile(
    r"warning(?:\[\w+\])?: |\S.*?:\d+(?::\d+)?: warning: |(?:\S*/)?cc1: |WARNING: |make(?:\[\d+\])?: "
    r"|\s+(?:RUSTC|CC|LD|MODPOST|BTF|BINDGEN|UPD|AR|CLEAN|AS|EXPORTS|HOSTCC|CPP)\s|Skipping BTF generation"
    r"|compilation terminated\.|\d+ (?:warnings?(?: and \d+ errors?)?|errors?) generated\.|/bin/sh: "
)
"""A line that belongs to no error and ends the one before it."""
BEFORE = re.compile(r"In file included from |\s+from \S+:\d+|\S.*?: (?:In function |At top level|In member function )")
"""A line of gcc's that announces the place of the next message."""
SUMMARY = re.compile(
    r"error: (?:aborting due to |could not compile )|For more information about this error|Some errors have"
)
PLACE = re.compile(r"(?P<file>\S.*?):(?P<line>\d+)(?::\d+)?: ")
POINTED = re.compile(r"^\s*--> (?P<file>.+?):(?P<line>\d+):\d+$", re.MULTILINE)
USED = re.compile(r"^\S.*?:\d+(?::\d+)?: note: in expansion of macro.*", re.MULTILINE)
NOTE = re.compile(r"\S.*?:\d+(?::\d+)?: note: ")


@dataclass(frozen=True)
class CompilerError:
    """One error as the program printed it.

    Attributes:
        text: lines from the first of the error to the last of its notes.
        start, end: position in the output, in characters.
    """

    text: str
    start: int
    end: int

    @property
    def head(self) -> str:
        """The first line."""
        return self.text.partition("\n")[0]

    @property
    def place(self) -> str:
        """The file and line that the error points to, as `FILE:LINE`; empty if it points nowhere.

        For an error in a macro of the kernel's, gcc names the macro first and the place of its use last.
        """
        used = USED.findall(self.text)
        match = (PLACE.match(used[-1]) if used else None) or PLACE.match(self.head) or POINTED.search(self.text)
        return f"{match['file']}:{match['line']}" if match else ""


def errors_in(output: str) -> list[CompilerError]:
    """Return the errors in the order in which they were printed, without summaries (`aborting due to 2 errors`)."""
    found: list[CompilerError] = []
    start: int | None = None
    end = pending = at = 0

    def close() -> None:
        nonlocal start
        if start is not None:
            text = output[start:end].rstrip("\n")
            found.append(CompilerError(text, start, start + len(text)))
        start = None

    for line in output.splitlines(keepends=True):
        begin, at = at, at + len(line)
        if SUMMARY.match(line):
            close()
        elif BEGIN.match(line):
            close()
            start, end, pending = begin, at, 0
        elif start is None:
            continue
        elif BEFORE.match(line):
            # The line belongs to this error only if a note follows, not the next message.
            pending = pending or begin + 1
        elif OTHER.match(line) or (pending and not NOTE.match(line)):
            close()
        else:
            end, pending = at, 0
    close()
    return found


def with_notes(output: str, errors: list[CompilerError], note: Callable[[CompilerError], str]) -> str:
    """Return the output with notes inserted under the errors.

    Args:
        output: all output of make.
        errors: errors in it, in order.
        note: returns the text to insert under an error; empty for none.
    """
    parts, at = [], 0
    for error in errors:
        said = note(error)
        parts += [output[at : error.end], f"\n{said}" if said else ""]
        at = error.end
    return "".join([*parts, output[at:]])
