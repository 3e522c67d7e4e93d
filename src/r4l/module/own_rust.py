# SPDX-License-Identifier: MIT
"""The module's own Rust files: the items that they define, and the names that they import."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from r4l.paths import LARGEST, leads_to_file, text_or_none
from r4l.walk import files_below

PLACE = re.compile(r"^\s*--> (?P<file>.+?):(?P<line>\d+):\d+$", re.MULTILINE)
IMPL = re.compile(r"\bimpl\b(?:<.*>)?\s+(?P<trait>[\w:]+)(?:<.*>)?\s+for\b")
ALIAS = re.compile(r"\b(?P<name>\w+) as (?P<alias>[A-Za-z]\w*)")
MODULE_MACRO = re.compile(r"\bmodule(?:_\w+)?!")


def _files(folder: Path) -> list[Path]:
    return files_below(folder, lambda name: name.endswith(".rs"))


def text_of(folder: Path) -> str:
    """Return the text of all Rust files of a module's folder; without the last ones if they are more than `LARGEST`."""
    texts: list[str] = []
    left = LARGEST
    for file in _files(folder):
        texts.append(text_or_none(file))
        left -= len(texts[-1])
        if left < 0:
            break
    return "\n".join(texts)


def has_module_macro(error: str, folder: Path) -> bool:
    """Return True if the crate of a file has `module!` or a macro that makes one, or if the file is not there."""
    place = PLACE.search(error)
    file = folder / place["file"] if place else folder
    if place and not leads_to_file(file):
        # A Makefile may have named another folder to make.
        return True
    everything = text_of(folder)
    is_root = leads_to_file(file) and not re.search(rf"\bmod {re.escape(file.stem)};", everything)
    return bool(MODULE_MACRO.search(text_or_none(file) if is_root else everything))


def without_aliases(folder: Path) -> Callable[[str], str]:
    """Return a function that writes names of `use … as NAME` as the kernel has them."""
    aliases = {
        match["alias"]: "::".join(filter(None, [_parent(match), match["name"]]))
        for statement in re.findall(r"\buse ([^;]*);", text_of(folder))
        for match in ALIAS.finditer(statement)
    }
    if not aliases:
        return str
    names = re.compile(rf"(?<![\w:])(?:{'|'.join(map(re.escape, aliases))})\b")

    def plain(text: str) -> str:
        if text in aliases:
            return aliases[text]
        return names.sub(
            lambda match: (
                aliases[match[0]] if match[0][0].isupper() or text[match.end() :].startswith("::") else match[0]
            ),
            text,
        )

    return plain


def _parent(alias: re.Match[str]) -> str:
    """Return the module from which `NAME as ALIAS` of a `use` takes the name; empty if none is written."""
    before = alias.string[: alias.start()]
    while (shorter := re.sub(r"\{[^{}]*\}", "", before)) != before:
        before = shorter
    last = re.search(r"(\w+)::(?:\{[^{}]*)?$", before)
    return last[1] if last else ""


def module_of(path: str, folder: Path, error: str) -> str:
    """Return the module of the crate `kernel` that a name is from: `pci` of `pci::Driver` or `use
    kernel::pci::Driver`. What the file of the error imports counts first."""
    segments = path.split("::")
    if len(segments) > 1:
        return segments[-2]
    used = re.compile(rf"\b(\w+)::(?:\{{[^{{}}]*\b)?{re.escape(path)}\b")
    place = PLACE.search(error)
    itself = folder / place["file"] if place else folder
    files = sorted(_files(folder), key=lambda file: (file != itself, file))
    found = (used.search(text_or_none(file)) for file in files)
    return next((match[1] for match in found if match), "")


def implemented(error: str, folder: Path) -> str | None:
    """Return the trait of the module's `impl` block that an error points into."""
    place = PLACE.search(error)
    file = folder / place["file"] if place else folder
    if place is None or not leads_to_file(file):
        return None
    above = text_or_none(file).splitlines()[: int(place["line"])]
    found = next((match for match in map(IMPL.search, reversed(above)) if match), None)
    return without_aliases(folder)(found["trait"]) if found else None


def defines(folder: Path, keyword: str, name: str) -> bool:
    """Return True if the module itself defines an item of that kind and name."""
    pattern = re.compile(rf"\b{keyword} {re.escape(name)}\b")
    return any(pattern.search(text_or_none(file)) for file in _files(folder))
