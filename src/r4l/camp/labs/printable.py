# SPDX-License-Identifier: MIT
"""Untrusted texts for a terminal, a page and a record."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Return a text in which all characters that cannot be printed are escaped as in Python.

    Args:
        keep: characters left unescaped, such as a newline.
    """
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters as it is, and of a longer one its beginning and the rest's length."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters more)"
