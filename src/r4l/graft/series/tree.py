# SPDX-License-Identifier: MIT
"""Lines put into files of a kernel's tree at their places: lists in alphabetical order, MAINTAINERS."""

from __future__ import annotations

import re

from r4l.errors import UsageError

ATTRIBUTE = re.compile(r"\s*(?:#\[|//(?!!))")


def insert(text: str, line: str, file: str) -> str:
    """Return a text with a line inserted into the longest list of its kind, in alphabetical order.

    Lines of a kind begin alike, up to the first name: `pub mod `, `#include <`, `obj-$(CONFIG_`. Attributes belong to
    the line that follows them.

    Args:
        line: a line, maybe with attributes in lines before it.

    Raises:
        UsageError: the file has no such list.
    """
    kind = _kind(line.rpartition("\n")[2])
    lines = text.splitlines()
    runs: list[list[int]] = [[]]
    for at, other in enumerate(lines):
        if other.startswith(kind):
            runs[-1].append(at)
        elif runs[-1] and not ATTRIBUTE.match(other):
            runs.append([])
    run = max(runs, key=len)
    if not run:
        raise UsageError(
            f"{file} of this tree has no line like {line!r}", "use the source of a kernel that the kit supports"
        )
    key = line.rpartition("\n")[2]
    place = next((at for at in run if lines[at] > key), run[-1] + 1)
    while 0 < place <= run[-1] and ATTRIBUTE.match(lines[place - 1]):
        place -= 1
    return "\n".join([*lines[:place], line, *lines[place:]]) + "\n"


def _kind(line: str) -> str:
    match = re.match(r'(?:pub )?mod |#include [<"]|obj-\$\(CONFIG_|source "', line)
    if match is None:
        raise UsageError(f"the series cannot place {line!r} by itself", "use another line")
    return match[0]


def add_constants(text: str, lines: list[str], *, apart: bool) -> str:
    """Return bindings_helper.h with further constants behind the last one that no condition guards.

    Args:
        apart: put an empty line before them.

    Raises:
        UsageError: the file has no constants.
    """
    before = text.splitlines()
    depth, place = 0, 0
    for at, line in enumerate(before):
        depth += line.startswith("#if") - line.startswith("#endif")
        if depth == 0 and re.match(r"const .*RUST_CONST_HELPER_", line):
            place = at + 1
    if not place:
        raise UsageError(
            "bindings_helper.h of this tree has no RUST_CONST_HELPER_",
            "use the source of a kernel that the kit supports",
        )
    gap = [""] if apart else []
    return "\n".join([*before[:place], *gap, *lines, *before[place:]]) + "\n"


def maintain(text: str, section: str, head: list[str], files: list[str]) -> str:
    """Return MAINTAINERS with files added to a section, which is made at its alphabetical place if it is missing.

    Args:
        section: its title.
        head: its lines before those of the files.
        files: the files' patterns.
    """
    top, _, rest = text.partition("\n3C59X NETWORK DRIVER\n")
    if not rest:
        match = re.search(r"^Maintainers List\n.*?^\n(?=\S[^\n]*\n[A-Z]:\t)", text, re.MULTILINE | re.DOTALL)
        if match is None:
            raise UsageError("MAINTAINERS of this tree has no list", "use a kernel's source")
        top, rest = text[: match.end()], text[match.end() :]
    else:
        top, rest = f"{top}\n", f"3C59X NETWORK DRIVER\n{rest}"
    sections = rest.split("\n\n")
    at = next((n for n, each in enumerate(sections) if each.partition("\n")[0] == section), None)
    if at is None:
        # Behind the nearest title before it, since the kernel's list is not in order everywhere. Titles are compared in
        # capitals, as scripts/parse-maintainers.pl does.
        titles = [each.partition("\n")[0].upper() for each in sections[:-1]]
        before = max((title for title in titles if title <= section.upper()), default=None)
        at = 0 if before is None else titles.index(before) + 1
        sections.insert(at, "\n".join([section, *head]))
    lines = sections[at].splitlines()
    patterns = sorted({*(line for line in lines if line.startswith("F:")), *(f"F:\t{file}" for file in files)})
    sections[at] = "\n".join([*(line for line in lines if not line.startswith("F:")), *patterns])
    return top + "\n\n".join(sections)
