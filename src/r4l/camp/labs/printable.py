# SPDX-License-Identifier: MIT
"""Texts that somebody else chose, for a terminal and a page."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """A text with nothing in it that a terminal would obey: all but what can be printed is escaped as Python does.

    Args:
        keep: characters that stay, such as a newline.
    """
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)
