# SPDX-License-Identifier: MIT
"""Derive the dependencies of a driver's Kconfig entry from the modules of the `kernel` crate that it uses.

No table is needed: the tree's own rust/kernel/lib.rs says which module exists under which option, and its Kconfig files
say whether people can choose an option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

GUARDED = re.compile(r"^#\[cfg\((.+)\)\]\n(?:(?:#\[|//).*\n)*pub (?:mod|use) (\w+)", re.MULTILINE)
CFG = re.compile(r'\s*(?:(any|all|not)\(|CONFIG_(\w+)(?:\s*=\s*"(\w)")?|([,)]))')
ENTRY = re.compile(r"^\s*(?:menu)?config (\w+)[ \t]*\n((?:[ \t]+.*\n|\n)*)", re.MULTILINE)
PROMPT = re.compile(r'^\s+(?:(?:bool|tristate|int|hex|string|prompt)\s+["\'])', re.MULTILINE)


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
    for condition, name in GUARDED.findall((tree / "rust/kernel/lib.rs").read_text(encoding="utf-8", errors="replace")):
        expression = kconfig_expression(condition)
        if name not in uses or expression is None:
            continue
        if re.fullmatch(r"\w+", expression) and not known.get(expression, True):
            selects.append(expression)
        else:
            depends.append(expression)
    return Needs(tuple(dict.fromkeys(depends)), tuple(dict.fromkeys(selects)))


def kconfig_expression(condition: str) -> str | None:
    """Translate a Rust `cfg` condition to a Kconfig expression; None if it tests anything but options."""
    expression, rest = _parse(condition)
    return expression if not rest.strip() else None


def _parse(text: str) -> tuple[str | None, str]:
    match = CFG.match(text)
    if match is None or match[4]:
        return None, text
    rest = text[match.end() :]
    if match[2]:
        return match[2] + (f"={match[3]}" if match[3] else ""), rest
    parts: list[str] = []
    while True:
        part, rest = _parse(rest)
        if part is None:
            return None, text
        parts.append(part)
        end = CFG.match(rest)
        if end is None or not end[4]:
            return None, text
        rest = rest[end.end() :]
        if end[4] == ")":
            break
    if match[1] == "not":
        return f"!{parts[0]}", rest
    return f"({(' || ' if match[1] == 'any' else ' && ').join(parts)})", rest


def options(tree: Path) -> dict[str, bool]:
    """Return every option in the tree's Kconfig files; True if one of its entries has a prompt."""
    found: dict[str, bool] = {}
    for file in tree.rglob("Kconfig*"):
        if file.is_file() and "scripts" not in file.relative_to(tree).parts[:1]:
            for name, body in ENTRY.findall(file.read_text(errors="replace", encoding="utf-8")):
                found[name] = found.get(name, False) or bool(PROMPT.search(body))
    return found
