# SPDX-License-Identifier: MIT
"""Complaints of rust-analyzer about code that rustc has compiled: its own limits, and no fault of the editor files.

Editor files that are wrong show in names that begin a path: crates, modules, macros, imports. A type that rust-analyzer
does not infer (what a macro such as `pin_init!` or `Arc::pin_init` makes) shows in members of it, and in types that do
not match; a name that an attribute macro takes away, in that attribute's item. In a length of an array (and in other
constants of types), an associated item of a type is not found: `[u32; Table::WORDS]`.
"""

from __future__ import annotations

import re

OF_TYPES = frozenset({"E0282", "E0308", "E0559", "E0560", "E0599", "E0609", "E0610", "E0614", "E0618", "type-mismatch"})
"""Codes of errors about an expression's type: of rustc (its index of error codes), and of rust-analyzer alone."""

MEMBER = re.compile(r"(?<!\.)\.(?:\s|//[^\n]*\n)*$")
"""The text before a field or a method; not that before the end of a range."""
ARGUMENT = re.compile(r"[<,]\s*$")
"""The text before the block of a constant argument."""
LENGTH = 1000
"""Characters before a place that are read to tell whether it is in such a constant."""
PINNED_DROP = re.compile(
    r"#\[pinned_drop\](?:\s|//[^\n]*\n|#\[[^\]]*\])*(?:unsafe\s+)?impl(?:\s*<[^{]*?>)?\s+(?P<name>(?:\w+::)*PinnedDrop)\b"
)
"""`PinnedDrop` in an item that the attribute replaces (rust/pin-init/internal/src/pinned_drop.rs)."""


def is_limit(text: str, line: int, column: int) -> bool:
    """True if rust-analyzer may not find the name at a place of a file though the editor files are right.

    Args:
        line: from 1.
        column: in UTF-16 units from 0, as language servers count.
    """
    begin = _offset(text, line, column)
    if MEMBER.search(text, 0, begin) or (text.endswith("::", 0, begin) and _in_constant_of_type(text, begin)):
        return True
    return any(match.start("name") <= begin < match.end("name") for match in PINNED_DROP.finditer(text))


def _in_constant_of_type(text: str, begin: int) -> bool:
    """True if a place is in an array's length, `[T; HERE]`, or in a constant argument of a type, `T<{ HERE }>`."""
    depth = 0
    after_semicolon = False
    for at in range(begin - 1, max(-1, begin - LENGTH), -1):
        char = text[at]
        if char in ")]}":
            depth += 1
        elif char in "([{" and depth:
            depth -= 1
        elif depth or char == "(":
            continue
        elif char == "[":
            return after_semicolon
        elif char == "{":
            if not after_semicolon and ARGUMENT.search(text, 0, at):
                return True
            if after_semicolon:
                return False
        elif char == ";":
            if after_semicolon:
                return False
            after_semicolon = True
    return False


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    before = sum(len(one) + 1 for one in lines[: line - 1])
    here = lines[line - 1] if line <= len(lines) else ""
    return before + len(here.encode("utf-16-le")[: 2 * column].decode("utf-16-le", "ignore"))
