# SPDX-License-Identifier: MIT
"""The safe Rust that a kernel's tree offers to drivers, and the additions of the kit.

rust/kernel/lib.rs lists the modules of the `kernel` crate, some under a `#[cfg(CONFIG_…)]`. The first line of a
module's documentation says what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from r4l import resources
from r4l.paths import text_or_none

_MODULE = re.compile(r"((?:^#\[[^\n]*\]\n)*)^pub mod (\w+);", re.MULTILINE)
_CFG = re.compile(r"#\[cfg\((.*)\)\]")
_TOKEN = re.compile(r'\s*(\w+|=|"[^"]*"|[(),])')


@dataclass(frozen=True)
class RustModule:
    """A module of the `kernel` crate.

    Attributes:
        about: first line of its documentation; empty without any.
        condition: condition of its `#[cfg]`, such as `CONFIG_PCI`; empty for an unconditional module.
        on: True if this kernel's configuration meets the condition.
    """

    name: str
    about: str
    condition: str
    on: bool


@dataclass(frozen=True)
class Topic:
    """A feature that drivers need.

    Attributes:
        group: heading that it belongs to.
        kernel: `FILE:LINE` of the kernel's implementation under rust/kernel/; empty if there is none.
        kit: `FILE:LINE` of the kit's implementation under its src/; empty if there is none.
        missing: condition of the implementation that this kernel's configuration does not meet; empty otherwise.
    """

    name: str
    group: str
    kernel: str
    kit: str
    missing: str

    @property
    def state(self) -> str:
        """`kernel`, `off` (in the tree, not in this configuration), `kit`, or `none`."""
        if self.kernel:
            return "off" if self.missing else "kernel"
        return "kit" if self.kit else "none"


def rust_modules(source: Path, config: Mapping[str, str]) -> list[RustModule]:
    """Return the modules of a tree's `kernel` crate.

    Args:
        source: the kernel's source tree.
        config: `CONFIG_…` to value, of the kernel in use.
    """
    crate = source / "rust/kernel"
    library = crate / "lib.rs"
    if not library.is_file():
        return []
    found = []
    for attributes, name in _MODULE.findall(text_or_none(library)):
        if "#[doc(hidden)]" in attributes:
            continue
        condition = " and ".join(_CFG.findall(attributes))
        on = all(holds(text, config) for text in _CFG.findall(attributes))
        found.append(RustModule(name, _about(crate, name), condition, on))
    return found


def holds(condition: str, config: Mapping[str, str]) -> bool:
    """True if the condition inside a `#[cfg(…)]` holds; names other than the kernel's options count as false, and so
    does a condition of another form, such as `target_has_atomic("8")` or what is left of one in a tree under work.

    Source: The Rust Reference, "Conditional compilation"; scripts/Makefile.build passes `--cfg CONFIG_X` to rustc for X
    set to y or m, and `--cfg 'CONFIG_X="m"'`.
    """
    tokens = _TOKEN.findall(condition)

    def predicate(at: int) -> tuple[bool, int]:
        word = tokens[at]
        if at + 1 < len(tokens) and tokens[at + 1] == "(":
            values = []
            at += 2
            while tokens[at] != ")":
                value, at = predicate(at)
                values.append(value)
                if tokens[at] == ",":
                    at += 1
            result = {"all": all(values), "any": any(values), "not": not any(values)}[word]
            return result, at + 1
        if at + 1 < len(tokens) and tokens[at + 1] == "=":
            return config.get(word) == tokens[at + 2].strip('"'), at + 3
        return word in config, at + 1

    try:
        return predicate(0)[0]
    except (IndexError, KeyError, RecursionError):
        return False


def topics(source: Path, config: Mapping[str, str]) -> list[Topic]:
    """Return the features that drivers need, with their places in the kernel's tree and in the kit."""
    table = resources.table(__package__, "abstractions.toml", {"*": {"*": {"kernel?": str, "kit?": str}}})
    conditions = {module.name: module.condition for module in rust_modules(source, config) if not module.on}
    found = []
    for group, entries in table.items():
        for name, places in entries.items():
            kernel = _find(source / "rust/kernel", places.get("kernel", ""))
            module = re.split(r"[/.:]", kernel)[0]
            kit = _find(resources.rust("kit/src"), places.get("kit", ""))
            found.append(Topic(name, group, kernel, kit, conditions.get(module, "")))
    return found


def _find(folder: Path, place: str) -> str:
    """Return `FILE:LINE` of the first line of code (comments excluded) that contains a text; empty if there is none."""
    pattern, _, text = place.partition(": ")
    if not text:
        return ""
    for path in sorted(folder.rglob(pattern.rpartition("/")[2])):
        if not path.match(pattern):
            continue
        for number, line in enumerate(text_or_none(path).split("\n"), 1):
            if text in line and not line.lstrip().startswith("//"):
                return f"{path.relative_to(folder)}:{number}"
    return ""


def _about(crate: Path, name: str) -> str:
    for path in (crate / f"{name}.rs", crate / name / "mod.rs"):
        if path.is_file():
            first = re.search(r"^//! *(\S.*)$", text_or_none(path), re.MULTILINE)
            return first.group(1).strip() if first else ""
    return ""
