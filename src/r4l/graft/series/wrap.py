# SPDX-License-Identifier: MIT
"""Comments of Rust code, broken at the kernel's width: rustfmt leaves them as they are."""

from __future__ import annotations

import re
from collections import deque

COLUMNS = 100
LONGEST = 10_000
"""Maximum characters of a line that is broken."""
COMMENT = re.compile(r"(\s*(?://[/!]?))( +)(?![|\s])(.*)")
"""A line of running text: its indentation and slashes, its space, its text. Rows of tables are none."""
OWN = re.compile(r"[-*#] |\d+\. |\[[^\]]+\]: |SAFETY: |INVARIANT: |```")
"""Beginning of a text that continues no line before it."""


def wrapped(code: str) -> str:
    """Return code whose comments are at most as wide as the kernel wants them.

    What is too wide moves to the next line, where that continues the same paragraph.
    """
    waiting = deque(code.splitlines())
    done: list[str] = []
    while waiting:
        line = waiting.popleft()
        match = COMMENT.fullmatch(line) if len(line) <= LONGEST else None
        at = line.rfind(" ", 0, COLUMNS + 1)
        if len(line) <= COLUMNS or match is None or at <= match.end(2):
            done.append(line)
            continue
        done.append(line[:at])
        rest = line[at + 1 :]
        following = COMMENT.fullmatch(waiting[0]) if waiting else None
        item = re.match(r"[-*] |\d+\. ", match[3])
        space = match[2] + " " * (item.end() if item else 0)
        if following and following[1] == match[1] and following[2] == space and not OWN.match(following[3]):
            waiting[0] = f"{match[1]}{space}{rest} {following[3]}"
        else:
            waiting.appendleft(f"{match[1]}{space}{rest}")
    return "\n".join(done) + "\n"
