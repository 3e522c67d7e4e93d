# SPDX-License-Identifier: MIT
"""Paths in the output of compilers: make runs in the folder of the module, the user may be anywhere."""

from __future__ import annotations

import re
from pathlib import Path

COLOR = r"(?:\x1b\[[\d;]*[mK])*"
"""Escape sequences that colour a text (ECMA-48, SGR), and gcc's that clears the rest of the line."""
PLACE = re.compile(
    rf"^(?P<before>{COLOR}(?:(?:In file included from|[ \t]+from|{COLOR}[ \t]*{COLOR}-->)[ \t]+{COLOR})?)"
    r"(?P<path>[^\s:/<\x1b][^\s:\x1b]*)(?=:\d+)",
    re.MULTILINE,
)
"""A file and line at the beginning of a message of gcc's or clang's, or behind the arrow of rustc's."""


def whole(text: str, folder: Path) -> str:
    """Return a compiler's text with the whole paths of the files in a folder that it names as seen from there."""

    def replaced(match: re.Match[str]) -> str:
        path = folder / match["path"]
        return f"{match['before']}{path}" if path.is_file() else match[0]

    return PLACE.sub(replaced, text)
