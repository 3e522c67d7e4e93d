# SPDX-License-Identifier: MIT
"""The `use` declarations of Rust code: read, changed path by path, merged, and written in the kernel's style."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from r4l.errors import UsageError

# The bounds keep the time linear in texts where a semicolon or a parenthesis is missing.
_PUB = r"(?:pub(?:\([\w ]{1,200}+\))? )?"
DECLARATION = re.compile(rf"^({_PUB})use ([^;]{{1,8000}}+);\n", re.MULTILINE)
BLOCK = re.compile(rf"(?:^{_PUB}use [^;]{{1,8000}}+;\n)++", re.MULTILINE)
TOKEN = re.compile(r"\s+|//[ \t]*\n|(::|[{},]|\*|\w+(?: as \w+)?)")
DEEPEST = 64
"""Most segments of a path, and most groups inside of each other."""

Leaf = tuple[str, ...]
"""A path that a declaration names: its segments, of which the last may be `self`, `*` or `NAME as OTHER`."""


@dataclass
class _Node:
    """A segment of the paths of one declaration.

    Attributes:
        named: True if the path that ends here is named itself.
        below: the segments that follow.
    """

    named: bool = False
    below: dict[str, _Node] = field(default_factory=dict)


def rewrite(code: str, change: Callable[[Leaf], list[Leaf]], where: str) -> str:
    """Return code with each path of its `use` declarations replaced by the paths that `change` returns.

    Declarations that follow each other without a blank line are merged where root and visibility are the same. Only
    declarations at the beginning of a line are read: those of a module of tests and those in functions stay.

    Raises:
        UsageError: a declaration has a form that is not understood.
    """

    def block(match: re.Match[str]) -> str:
        merged: dict[tuple[str, str], list[Leaf]] = {}
        for visibility, tree in DECLARATION.findall(match[0]):
            for leaf in leaves(tree, where):
                for new in change(leaf):
                    merged.setdefault((visibility, new[0]), []).append(new)
        return "".join(f"{visibility}use {_text(found)};\n" for (visibility, _), found in merged.items())

    return BLOCK.sub(block, code)


def outside(code: str, change: Callable[[str], str]) -> str:
    """Return code with the text outside of its `use` declarations replaced by what `change` returns for it."""
    parts: list[str] = []
    at = 0
    for match in BLOCK.finditer(code):
        parts += [change(code[at : match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, change(code[at:])])


def leaves(tree: str, where: str) -> list[Leaf]:
    """Return all paths of the tree of a `use` declaration.

    Raises:
        UsageError: the tree has a form that is not understood.
    """
    tokens: list[str] = []
    at = 0
    while at < len(tree):
        match = TOKEN.match(tree, at)
        if match is None:
            raise _not_understood(tree, where)
        tokens += [match[1]] if match[1] else []
        at = match.end()
    found: list[Leaf] = []
    end = _group([*tokens, "}"], 0, (), found, 0)
    if end is None or any(leaf == ("self",) for leaf in found):
        raise _not_understood(tree, where)
    if end <= len(tokens):
        raise UsageError(f"{where}: `use {_short(tree)}` has a brace too many", "correct it")
    return found


def _not_understood(tree: str, where: str) -> UsageError:
    return UsageError(
        f"{where}: `use {_short(tree)}` is not understood", "write it in the kernel's style, without comments"
    )


def _short(tree: str) -> str:
    return tree if len(tree) <= 200 else f"{tree[:200]}…"


def _group(tokens: list[str], at: int, prefix: Leaf, found: list[Leaf], depth: int) -> int | None:
    """Add the paths of a group to those found; return the place behind its closing brace, None if the group is none.

    Args:
        at: place of its first token.
        prefix: path before the group.
        depth: groups around it.
    """
    while at < len(tokens) and tokens[at] != "}":
        path = prefix
        while True:
            if at >= len(tokens) or len(path) > DEEPEST or depth > DEEPEST:
                return None
            if tokens[at] == "{":
                after = _group(tokens, at + 1, path, found, depth + 1)
                if after is None:
                    return None
                at = after
                break
            if tokens[at] in ("::", "}", ","):
                return None
            path = (*path, tokens[at])
            at += 1
            if tokens[at : at + 1] != ["::"]:
                found.append(path)
                break
            at += 1
        if tokens[at : at + 1] == [","]:
            at += 1
        elif tokens[at : at + 1] != ["}"]:
            return None
    return at + 1 if at < len(tokens) else None


def _text(found: list[Leaf]) -> str:
    root = _Node()
    for leaf in found:
        node = root
        for segment in leaf[:-1] if leaf[-1] == "self" else leaf:
            node = node.below.setdefault(segment, _Node())
        node.named = True
    return _written(root, "")[0]


def _written(node: _Node, indent: str) -> list[str]:
    parts = []
    for name in sorted(node.below, key=_order):
        below = node.below[name]
        inner = _written(below, indent + "    ")
        if not inner:
            parts.append(name)
        elif below.named or len(inner) > 1:
            entries = (["self"] if below.named else []) + inner
            lines = "".join(f"{indent}    {entry},\n" for entry in entries)
            parts.append(f"{name}::{{\n{lines[:-1]} //\n{indent}}}")
        else:
            parts.append(f"{name}::{_written(below, indent)[0]}")
    return parts


def _order(name: str) -> tuple[int, str]:
    """rustfmt's order: `super` and `crate`, modules and functions, types, constants, and `*`."""
    if name in ("self", "super", "crate"):
        return (0, {"self": "0", "super": "1", "crate": "2"}[name])
    if name == "*":
        return (4, "")
    if name[0].islower() or name[0] == "_":
        return (1, name)
    return (3 if name.split(" ")[0].isupper() and len(name) > 1 else 2, name)
