# SPDX-License-Identifier: MIT
"""Long texts that are the hardest for a regular expression, derived from the expression itself.

Backtracking takes more than linear time where a repetition is left and entered again: the text up to a repetition, then
its body many times, then a character that fits nothing.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MANY = 8
"""Repetitions that may be longer are pumped."""
MISFIT = "\x01"
CHARACTERS = "a0 <[(:.-_/x]>)\"'\tZ#,+="
"""Characters that stand for a class of them."""
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def patterns_in(room: str) -> Iterator[re.Pattern[str]]:
    """Yield each expression for texts that a value of a room's modules holds, once."""
    package = importlib.import_module(room)
    names = [room, *(one.name for one in pkgutil.walk_packages(package.__path__, f"{room}."))]
    spaces = (vars(importlib.import_module(name)) for name in names)
    # Python's own `__builtins__` may hold itself.
    found = (one for space in spaces for name in space if not name.startswith("__") for one in _held(space[name]))
    return iter(dict.fromkeys(found))


def _held(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
    elif isinstance(value, dict):
        yield from _held(tuple(value.values()))
    elif isinstance(value, tuple | list | set | frozenset):
        for one in value:
            yield from _held(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _held(tuple(getattr(value, one.name) for one in dataclasses.fields(value)))


def pumped(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    """Yield texts of a size for each repetition in an expression."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    for before, body in dict.fromkeys(_pumps(tree, "")):
        yield (before + body * size)[: size - 1] + MISFIT
        if before:
            # A search begins anew at each of them.
            yield ((before + body) * size)[: size - 1] + MISFIT


def begun(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    """Yield the beginnings of a match up to each repetition in an expression: without it, and with it up to a size."""
    for before, body in dict.fromkeys(_pumps(parser.parse(pattern.pattern, pattern.flags), "")):
        yield before
        yield (before + body * size)[:size]


def example(pattern: re.Pattern[str]) -> str:
    """Return a text that an expression matches, if its assertions hold there."""
    return _text(parser.parse(pattern.pattern, pattern.flags))


def _text(tree: Any) -> str:
    return "".join(map(_one, tree))


def _one(node: tuple[Any, Any]) -> str:
    kind, value = node
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if kind is op.ANY:
        return "a"
    if kind is op.IN:
        return _members(value)[0]
    if kind is op.BRANCH:
        return _text(value[1][0])
    if kind is op.SUBPATTERN:
        return _text(value[3])
    if kind is op.ATOMIC_GROUP:
        return _text(value)
    return _text(value[2]) * value[0] if kind in REPEATS else ""


def _members(items: Any) -> list[str]:
    """Characters of a class: some that it names, and some that only fit it."""
    negated = bool(items) and items[0][0] is op.NEGATE
    named = [chr(value[0] if kind is op.RANGE else value) for kind, value in items if kind in (op.LITERAL, op.RANGE)]
    single = re.compile(_class(items))
    return [*([] if negated else named), *(one for one in CHARACTERS if single.match(one))] or ["a"]


CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}


def _class(items: Any) -> str:
    """Return a class of characters as an expression."""
    text = ""
    for kind, value in items:
        if kind is op.NEGATE:
            text += "^"
        elif kind is op.LITERAL:
            text += re.escape(chr(value))
        elif kind is op.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            text += CATEGORIES[value]
    return f"[{text}]"


def _pumps(tree: Any, before: str) -> Iterator[tuple[str, str]]:
    """Yield the text before each long repetition, and texts of its body."""
    for node in tree:
        kind, value = node
        if kind in REPEATS:
            _, most, body = value
            if most > MANY:
                bodies = [_text(body)]
                if len(body) == 1 and body[0][0] is op.IN:
                    bodies += _members(body[0][1])[:4]
                elif len(body) == 1 and body[0][0] is op.ANY:
                    bodies += ["a ", " "]
                yield from ((before, one) for one in bodies if one)
            yield from _pumps(body, before)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from _pumps(branch, before)
        elif kind is op.SUBPATTERN:
            yield from _pumps(value[3], before)
        elif kind is op.ATOMIC_GROUP:
            yield from _pumps(value, before)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            yield from _pumps(value[1], before)
        before += _one(node)
