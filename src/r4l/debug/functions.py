# SPDX-License-Identifier: MIT
"""Translate a function's path in the source to the name that gdb uses.

gdb names functions by their scope in the DWARF: a function in an `impl` of a trait is `hello::{impl#0}::init`. So
functions are looked up in the DWARF. With that name gdb also stops at every inlined copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r4l.debug.plan import require_debug_information
from r4l.errors import UsageError
from r4l.klog.demangle import demangle
from r4l.toolchain import Grant, Toolchain

ENTRY = re.compile(r"^0x[0-9a-f]+:( +)DW_TAG_(\w+)", re.MULTILINE)
ATTRIBUTE = re.compile(r'^ +DW_AT_(name|linkage_name)\t\("(.*)"\)$', re.MULTILINE)
SCOPES = ("namespace", "structure_type", "enumeration_type", "union_type")
QUALIFIED = re.compile(r"^<(.+?)(?: as (.+))?>::(\w+)$")
PLACE = re.compile(r"^(\*|.+:\d+$)")
"""Places that gdb takes unchanged: an address, or a line of a file."""


@dataclass(frozen=True)
class Function:
    """A function in a module's debug information.

    Attributes:
        path: path as in Rust's messages, such as `<hello::Hello as kernel::Module>::init`.
        known_as: gdb's name for the function.
    """

    path: str
    known_as: str


def places(wanted: str, modules: list[Path], toolchain: Toolchain) -> list[str]:
    """Return the arguments of gdb's `break` for a wanted function or place.

    Args:
        wanted: a path (`Hello::init`, `hello::Hello::init`, `init`), a place (`hello.rs:20`), or a C function's name.
        modules: the .ko files.

    Raises:
        UsageError: no module has such a function.
        BuildError: the modules have no debug information.
    """
    if PLACE.match(wanted):
        return [wanted]
    for module in modules:
        require_debug_information(module)
    name = re.split(r"::", wanted.strip())[-1]
    found = [function for module in modules for function in _named(name, module, toolchain)]
    matching = dict.fromkeys(f"'{function.known_as}'" for function in found if matches(function.path, wanted))
    if not matching:
        others = ", ".join(sorted({function.path for function in found})[:8])
        raise UsageError(
            f"the module has no function {wanted}" + (f"; it has {others}" if others else ""),
            "write it as in the source, `Type::function`, or name a line: `main.rs:20`; gdb's `info functions` lists "
            "the compiled functions",
        )
    return list(matching)


def matches(path: str, wanted: str) -> bool:
    """True if a demangled path fits the user's `wanted`.

    For a trait's method, the type's path and the trait's path both fit. Parameters in angle brackets are ignored.
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
    """Strip generic parameters and blanks from a path; a qualified path stays qualified."""
    if path.startswith("<"):
        inner, _, rest = path[1:].rpartition(">::")
        return "<" + " as ".join(map(_plain, inner.split(" as "))) + ">::" + rest if inner else path
    before = None
    while before != path:
        before, path = path, re.sub(r"(?:::)?<[^<>]*>", "", path)
    return path.strip()


def _named(name: str, module: Path, toolchain: Toolchain) -> Iterator[Function]:
    """Yield the functions with that bare name, including inlined ones."""
    pattern = f"--name=^{re.escape(name)}(<.*)?$"
    printed = toolchain.run(
        ["llvm-dwarfdump", "--debug-info", "--show-parents", "--regex", pattern, module],
        Grant("debug: functions", reads=(module,)),
    ).stdout.decode(errors="replace")
    yield from parse(printed)


def parse(printed: str) -> Iterator[Function]:
    """Parse llvm-dwarfdump's output for some entries and their parents into functions."""
    around: list[tuple[int, str]] = []
    # Split yields, for each entry: indentation, tag, attributes.
    pieces = iter(ENTRY.split(printed)[1:])
    for indentation, tag, attributes in zip(pieces, pieces, pieces, strict=True):
        facts, depth = dict(ATTRIBUTE.findall(attributes)), len(indentation)
        around = [(at, name) for at, name in around if at < depth]
        if tag in SCOPES:
            around.append((depth, facts.get("name", "")))
        elif tag == "subprogram" and "name" in facts:
            known_as = "::".join([*(name for _, name in around), facts["name"]])
            yield Function(demangle(facts["linkage_name"]) if "linkage_name" in facts else known_as, known_as)
