# SPDX-License-Identifier: MIT
"""Untrusted texts for a terminal and a page."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Return a text in which all characters that cannot be printed are escaped as in Python.

    Args:
        keep: characters left unescaped, such as a newline.
    """
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)
