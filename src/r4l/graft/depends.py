# SPDX-License-Identifier: MIT
"""Derive the dependencies of a driver's Kconfig entry from the modules of the `kernel` crate that it uses.

No table is needed: the tree's own rust/kernel/lib.rs says which module exists under which option, and its Kconfig files
say whether people can choose an option.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r4l.graft.kconfig_file import ENTRIES, name_of, statements
from r4l.paths import text_or_none

CONDITION = re.compile(r"#\[cfg\((.+)\)\]")
GUARDED = re.compile(r"pub (?:mod|use) (\w+)")
CFG = re.compile(r'\s*(?:(any|all|not)\(|CONFIG_(\w+)(?:\s*=\s*"(\w)")?|([,)]))')
PROMPTS = ("bool", "tristate", "int", "hex", "string", "prompt")
DEEPEST = 32
"""Conditions inside of each other that are translated; the kernel has three."""


@dataclass(frozen=True)
class Needs:
    """Options of others in a Kconfig entry: expressions for `depends on`, option names for `select`."""

    depends: tuple[str, ...]
    selects: tuple[str, ...]


def needs(tree: Path, uses: set[str], known: dict[str, bool]) -> Needs:
    """Return the options needed by the modules of the `kernel` crate that a driver uses.

    Args:
        tree: a kernel's source.
        uses: names of modules of the crate.
        known: every option of the tree; True if people can choose it (see `options`).
    """
    depends: list[str] = []
    selects: list[str] = []
    for condition, name in conditional_items(text_or_none(tree / "rust/kernel/lib.rs")):
        expression = kconfig_expression(condition)
        if name not in uses or expression is None:
            continue
        if re.fullmatch(r"\w+", expression) and not known.get(expression, True):
            selects.append(expression)
        else:
            depends.append(expression)
    return Needs(tuple(dict.fromkeys(depends)), tuple(dict.fromkeys(selects)))


def conditional_items(crate: str) -> Iterator[tuple[str, str]]:
    """Yield the condition and the name of each module and import that a crate has under a condition."""
    condition = None
    for line in crate.split("\n"):
        if condition is None:
            condition = CONDITION.fullmatch(line)
        # Further attributes, and comments, may stand between the two.
        elif not line.startswith(("#[", "//")):
            if name := GUARDED.match(line):
                yield condition[1], name[1]
            condition = None


def kconfig_expression(condition: str) -> str | None:
    """Translate a Rust `cfg` condition to a Kconfig expression; None if it tests anything but options, or has
    conditions inside of each other more than `DEEPEST` times."""
    found = _parse(condition, 0, 0)
    return found[0] if found and not condition[found[1] :].strip() else None


def _parse(text: str, at: int, depth: int) -> tuple[str, int] | None:
    """Return the expression that begins at an offset, and its end; None if there is none."""
    match = CFG.match(text, at)
    if match is None or match[4] or depth > DEEPEST:
        return None
    at = match.end()
    if match[2]:
        return match[2] + (f"={match[3]}" if match[3] else ""), at
    parts: list[str] = []
    while True:
        part = _parse(text, at, depth + 1)
        end = CFG.match(text, part[1]) if part else None
        if part is None or end is None or not end[4]:
            return None
        parts.append(part[0])
        at = end.end()
        if end[4] == ")":
            break
    if match[1] == "not":
        return f"!{parts[0]}", at
    return f"({(' || ' if match[1] == 'any' else ' && ').join(parts)})", at


def options(tree: Path) -> dict[str, bool]:
    """Return every option in the tree's Kconfig files; True if one of its entries has a prompt."""
    found: dict[str, bool] = {}
    for file in tree.rglob("Kconfig*"):
        if "scripts" in file.relative_to(tree).parts[:1]:
            continue
        option = None
        for _, word, rest in statements(text_or_none(file)):
            if word in ENTRIES:
                option = name_of(rest) if word in ("config", "menuconfig") else None
                if option:
                    found.setdefault(option, False)
            elif option and word in PROMPTS and rest.startswith(('"', "'")):
                found[option] = True
    return found
