# SPDX-License-Identifier: MIT
"""Items and statements of Rust code in rustfmt's layout: found by the beginning of their first line, and taken out."""

from __future__ import annotations

import re

from r4l.errors import UsageError


def without(code: str, wanted: list[str], where: str) -> str:
    """Return code without some of its items, their documentation and their attributes.

    Args:
        wanted: the beginning of each item's first line, such as `fn random` or `impl Drop for Rtnl`; `pub` may be
            left out. A statement, an entry of a list and a line of a comment are items, too.

    Raises:
        UsageError: there is no such item, or more than one.
    """
    lines = code.splitlines()
    for name in wanted:
        found = [at for at, line in enumerate(lines) if _begins(line, name)]
        if len(found) != 1:
            raise UsageError(f"{where} has {len(found)} items that begin with {name!r}", "correct the series' table")
        first, last = _extent(lines, found[0])
        if name.startswith("//"):
            del lines[first]
            continue
        while first and lines[first - 1].lstrip().startswith(("//", "#[")):
            first -= 1
        after = last + 1
        before = lines[first - 1].strip() if first else ""
        if after < len(lines) and not lines[after].strip() and (not before or before.endswith("{")):
            after += 1
        elif not before and after < len(lines) and lines[after].lstrip().startswith("}"):
            first -= 1
        del lines[first:after]
    return "\n".join(lines) + "\n"


def _begins(line: str, name: str) -> bool:
    text = line.lstrip()
    for visibility in ("pub(crate) ", "pub(super) ", "pub "):
        text = text.removeprefix(visibility)
    text = text if name.startswith("unsafe ") else text.removeprefix("unsafe ").removeprefix('extern "C" ')
    return re.match(re.escape(name) + (r"\b" if re.match(r"\w", name[-1]) else ""), text) is not None


def _extent(lines: list[str], first: int) -> tuple[int, int]:
    """Return the first and the last line of an item; it ends at its own indentation."""
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    if lines[first].lstrip().startswith("//") or lines[first].removesuffix(" //").endswith((";", "}", ",")):
        return first, first
    for last in range(first + 1, len(lines)):
        inner = lines[last][len(indent) :]
        if lines[last].startswith(indent) and (inner.startswith("}") or (inner[:1] != " " and inner.endswith(";"))):
            return first, last
    return first, len(lines) - 1
