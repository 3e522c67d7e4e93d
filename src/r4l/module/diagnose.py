# SPDX-License-Identifier: MIT
"""From what make printed to the part that says why it failed."""

from __future__ import annotations

import re

FIRST_ERROR = re.compile(
    r"^(error(\[E\d+\])?: .*|.*: (fatal )?error: .*|ERROR: modpost: .*|make(\[\d+\])?: \*\*\* No rule .*"
    r"|.*ld: error: .*|.*Kbuild:\d+: .*|.*Makefile:\d+: \*\*\* .*)$",
    re.MULTILINE,
)
COMMAND_LINE = re.compile(r"^\$ .*\n", re.MULTILINE)
"""The log's own first line: the command that was run."""

MAKE_NOISE = re.compile(
    r"^(make(\[\d+\])?: (Entering|Leaving) directory.*|make(\[\d+\])?: \*\*\* .*"
    r"|\s+(RUSTC|CC|LD|MODPOST|BTF|BINDGEN|UPD|AR|CLEAN)\s.*|Skipping BTF generation.*)\n?",
    re.MULTILINE,
)


def explain(output: str) -> tuple[str, str]:
    """The cause in one line and the compiler's own text, from everything that make printed."""
    output = COMMAND_LINE.sub("", output)
    first = FIRST_ERROR.search(output)
    if first is None:
        return "make failed", output[-4000:]
    text = MAKE_NOISE.sub("", output[first.start() :]).rstrip()
    return first[0].strip(), text or first[0]
