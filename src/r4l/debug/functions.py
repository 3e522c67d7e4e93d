# SPDX-License-Identifier: MIT
"""From a function as its author writes it to the places in the source where gdb can stop for it.

gdb names what is in an `impl` after its number (`hello::{impl#0}::init`), and knows a function that was inlined
everywhere by its lines only. So a function is looked up in the module's DWARF, and the breakpoint is set on its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import UsageError
from r4l.klog.demangle import demangle
from r4l.toolchain import Toolchain

ATTRIBUTE = re.compile(r'DW_AT_(name|linkage_name|decl_file|decl_line)\s*\("?([^")]*)"?\)')
QUALIFIED = re.compile(r"^<(.+?)(?: as (.+))?>::(\w+)$")
PLACE = re.compile(r"^(\*|.+:\d+$)")
"""What gdb takes as it is: an address, or a file's line."""


@dataclass(frozen=True)
class Function:
    """A function in a module's debug information; `path` is its name, demangled."""

    path: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where gdb sets the breakpoint."""
        return f"{self.file}:{self.line}"


def places(wanted: str, modules: list[Path], toolchain: Toolchain) -> list[str]:
    """Where to set a breakpoint.

    Args:
        wanted: a path (`Hello::init`, `hello::Hello::init`, `init`), a place (`hello.rs:20`), or a C function's name.
        modules: the .ko files.

    Raises:
        UsageError: no module has such a function.
    """
    if PLACE.match(wanted):
        return [wanted]
    name = re.split(r"::", wanted.strip())[-1]
    found = [function for module in modules for function in _named(name, module, toolchain)]
    matching = dict.fromkeys(function.place for function in found if matches(function.path, wanted))
    if not matching:
        others = ", ".join(sorted({function.path for function in found})[:8])
        raise UsageError(
            f"the module has no function {wanted}" + (f"; it has {others}" if others else ""),
            "write it as in the source, `Type::function`, or name a line: `main.rs:20`; what is compiled in shows "
            "`info functions` in gdb",
        )
    return list(matching)


def matches(path: str, wanted: str) -> bool:
    """Whether a demangled path is what somebody means who writes `wanted`.

    Of a method of a trait, both the type's path and the trait's will do; parameters in angle brackets are left out.
    """
    wanted = _plain(wanted)
    return any(f"::{_plain(form)}".endswith(f"::{wanted}") for form in _forms(path))


def _forms(path: str) -> Iterator[str]:
    yield path
    match = QUALIFIED.match(path)
    if match:
        for owner in (match[1], match[2]):
            if owner:
                yield f"{owner}::{match[3]}"


def _plain(path: str) -> str:
    """A path without generic parameters and blanks; a qualified one stays qualified."""
    if path.startswith("<"):
        inner, _, rest = path[1:].rpartition(">::")
        return "<" + " as ".join(map(_plain, inner.split(" as "))) + ">::" + rest if inner else path
    before = None
    while before != path:
        before, path = path, re.sub(r"(?:::)?<[^<>]*>", "", path)
    return path.strip()


def _named(name: str, module: Path, toolchain: Toolchain) -> Iterator[Function]:
    """The functions of that bare name, inlined ones too."""
    printed = toolchain.run(
        ["llvm-dwarfdump", "--debug-info", f"--name={name}", module], readable=[module.parent]
    ).stdout.decode(errors="replace")
    for entry in re.split(r"\n(?=0x[0-9a-f]+: )", printed):
        if "DW_TAG_subprogram" not in entry.partition("\n")[0]:
            continue
        facts = dict(ATTRIBUTE.findall(entry))
        if {"decl_file", "decl_line"} <= facts.keys():
            path = demangle(facts.get("linkage_name") or facts.get("name", ""))
            yield Function(path, facts["decl_file"], int(facts["decl_line"]))
