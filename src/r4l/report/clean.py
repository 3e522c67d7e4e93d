# SPDX-License-Identifier: MIT
"""Clean the guest's text for display: drop escape sequences, control characters and direction marks, and bound its
length.

Escaping for HTML is left to the templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINE = 600
_RETURN = re.compile(r"\r+\n?")
_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
# C0 but tab and newline, DEL, C1; direction marks, invisible joiners, tags; lone surrogates; non-characters.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
SHOWN_INSTEAD = "\ufffd"


@dataclass(frozen=True)
class Clipped:
    """Text of several lines, shortened if it is long.

    Attributes:
        text: the lines to show.
        left_out: number of lines left out.
    """

    text: str
    left_out: int = 0


def line(text: str | bytes, limit: int = MAX_LINE) -> str:
    """Return one clean line: newlines become spaces; beyond `limit` characters an ellipsis stands."""
    return _clip(_plain(text).replace("\n", " ").rstrip(), limit)


def block(text: str | bytes, lines: int = 120, limit: int = MAX_LINE) -> Clipped:
    """Return clean lines; if there are more than `lines`, the first and last halves are kept."""
    every = [_clip(entry.rstrip(), limit) for entry in _plain(text).rstrip("\n").split("\n")]
    if len(every) <= lines:
        return Clipped("\n".join(every).strip("\n"))
    half = lines // 2
    left_out = len(every) - 2 * half
    return Clipped("\n".join([*every[:half], f"… {left_out} lines left out …", *every[-half:]]), left_out)


def _plain(text: str | bytes) -> str:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = _ANSI.sub("", _RETURN.sub("\n", text))
    return _UNFIT.sub(SHOWN_INSTEAD, text)


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
