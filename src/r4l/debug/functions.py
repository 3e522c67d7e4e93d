# SPDX-License-Identifier: MIT
"""From a function as its author writes it to the name that gdb knows it by.

gdb takes its names from where a function stands in the DWARF: what is in an `impl` of a trait is
`hello::{impl#0}::init`. So a function is looked up there. By that name gdb stops wherever it was inlined, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r4l.errors import UsageError
from r4l.klog.demangle import demangle
from r4l.toolchain import Grant, Toolchain

ENTRY = re.compile(r"^0x[0-9a-f]+:( +)DW_TAG_(\w+)", re.MULTILINE)
ATTRIBUTE = re.compile(r'^ +DW_AT_(name|linkage_name)\t\("(.*)"\)$', re.MULTILINE)
SCOPES = ("namespace", "structure_type", "enumeration_type", "union_type")
QUALIFIED = re.compile(r"^<(.+?)(?: as (.+))?>::(\w+)$")
PLACE = re.compile(r"^(\*|.+:\d+$)")
"""What gdb takes as it is: an address, or a file's line."""


@dataclass(frozen=True)
class Function:
    """A function in a module's debug information.

    Attributes:
        path: as Rust's own messages write it, such as `<hello::Hello as kernel::Module>::init`.
        known_as: gdb's name of it.
    """

    path: str
    known_as: str


def places(wanted: str, modules: list[Path], toolchain: Toolchain) -> list[str]:
    """What gdb's `break` takes for it.

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
    matching = dict.fromkeys(f"'{function.known_as}'" for function in found if matches(function.path, wanted))
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
    pattern = f"--name=^{re.escape(name)}(<.*)?$"
    printed = toolchain.run(
        ["llvm-dwarfdump", "--debug-info", "--show-parents", "--regex", pattern, module],
        Grant("debug: functions", reads=(module,)),
    ).stdout.decode(errors="replace")
    yield from parse(printed)


def parse(printed: str) -> Iterator[Function]:
    """The functions in what llvm-dwarfdump prints of some entries and those around them."""
    around: list[tuple[int, str]] = []
    # What stands between the entries' first lines: indentation, kind, attributes.
    pieces = iter(ENTRY.split(printed)[1:])
    for indentation, tag, attributes in zip(pieces, pieces, pieces, strict=True):
        facts, depth = dict(ATTRIBUTE.findall(attributes)), len(indentation)
        around = [(at, name) for at, name in around if at < depth]
        if tag in SCOPES:
            around.append((depth, facts.get("name", "")))
        elif tag == "subprogram" and "name" in facts:
            known_as = "::".join([*(name for _, name in around), facts["name"]])
            yield Function(demangle(facts["linkage_name"]) if "linkage_name" in facts else known_as, known_as)
