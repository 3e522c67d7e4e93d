# SPDX-License-Identifier: MIT
"""Paths in the output of compilers: make runs in the folder of the module, the user may be anywhere."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from r4l.paths import leads_to_file

COLOR = r"(?:\x1b\[[\d;]*+[mK])*+"
"""Escape sequences that colour a text (ECMA-48, SGR), and gcc's that clears the rest of the line."""
PLACE = re.compile(
    rf"^(?P<before>{COLOR}(?:(?:In file included from|[ \t]+from|{COLOR}[ \t]*{COLOR}-->)[ \t]+{COLOR})?)"
    r"(?P<path>[^\s:/<\x1b][^\s:\x1b]*)(?=:\d+)",
    re.MULTILINE,
)
"""A file and line at the beginning of a message of gcc's or clang's, or behind the arrow of rustc's."""

MOST = 100
"""Folders as seen from which a text may name a file."""

ENTERED = re.compile(r"^make(?:\[\d+\])?: Entering directory '(?P<folder>/[^']*)'$", re.MULTILINE)


def entered(text: str, folder: Path) -> list[Path]:
    """Return the folders below one, or that one, that make has entered, in whose terms compilers name files then; the
    first `MOST` of them."""
    names = dict.fromkeys(match["folder"] for match in ENTERED.finditer(text))
    found = (place for name in names if (place := Path(name)).is_relative_to(folder))
    return list(islice(found, MOST))


def whole(text: str, *folders: Path) -> str:
    """Return a compiler's text with the whole paths of files.

    Args:
        text: output of compilers.
        folders: folders as seen from which the text may name a file; the first that has it counts. Each takes time for
            each name.
    """

    def replaced(match: re.Match[str]) -> str:
        path = next((path for folder in folders if leads_to_file(path := folder / match["path"])), None)
        return f"{match['before']}{path}" if path else match[0]

    return PLACE.sub(replaced, text)
