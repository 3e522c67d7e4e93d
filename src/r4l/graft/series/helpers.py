# SPDX-License-Identifier: MIT
"""The kit's C as the kernel has it: helpers in rust/helpers, constants in rust/bindings/bindings_helper.h."""

from __future__ import annotations

import re
from dataclasses import dataclass

from r4l.errors import UsageError

HELPER = re.compile(
    r"((?:^/\* [^\n]*\*/\n)?)^([\w ]+[ *])kit_helper_(\w+)\(([^{]*)\)\n(\{\n.*?^\}\n)", re.MULTILINE | re.DOTALL
)
CONST = re.compile(r"^\tCONST\((\w+), (.+)\);$", re.MULTILINE)
USED = re.compile(r"\bbindings::(\w+)")
COLUMNS = 80


@dataclass(frozen=True)
class Helper:
    """A function of the kit's helpers.c.

    Attributes:
        name: without its prefix.
        text: the function for the kernel, with the kernel's prefix.
    """

    name: str
    text: str


def read(code: str) -> dict[str, Helper]:
    """Return the functions of helpers.c by name, in their order there.

    Raises:
        UsageError: a part of the file is not understood.
    """
    found = {}
    for comment, kind, name, arguments, body in HELPER.findall(code):
        found[name] = Helper(name, comment + _head(kind, name, arguments) + body)
    rest = re.sub(r"/\*.*?\*/|//[^\n]*|#include[^\n]*", "", HELPER.sub("", code), flags=re.DOTALL).strip()
    if rest:
        raise UsageError(f"helpers.c: {rest.splitlines()[0]!r} is not understood", "make it a function kit_helper_NAME")
    return found


def _head(kind: str, name: str, arguments: str) -> str:
    parts = [" ".join(part.split()) for part in re.split(r",(?![^(]*\))", arguments)]
    for prefix in (f"__rust_helper {kind}", f"__rust_helper\n{kind}"):
        lines = [f"{prefix}rust_helper_{name}("]
        column = _width(lines[0])
        for number, part in enumerate(parts):
            text = part + (")" if number == len(parts) - 1 else ",")
            if not number:
                lines[-1] += text
            elif _width(lines[-1]) + 1 + len(text) <= COLUMNS:
                lines[-1] += f" {text}"
            else:
                lines.append("\t" * (column // 8) + " " * (column % 8) + text)
        if max(_width(line) for line in lines) <= COLUMNS:
            break
    return "\n".join(lines) + "\n"


def _width(text: str) -> int:
    return len(text.rpartition("\n")[2].expandtabs(8))


def constants(layout: str) -> dict[str, str]:
    """Return the constants of layout.c with their C expressions."""
    return dict(CONST.findall(layout))


def used(code: str) -> set[str]:
    """Return the names of the kernel's bindings that Rust code uses."""
    found = set(USED.findall(code))
    for group in re.findall(r"\bbindings::\{([^}]*)\}", code):
        found |= set(re.findall(r"\w+", group))
    for group in re.findall(r"^ {4}bindings::\{([^}]*)\}", code, re.MULTILINE):
        found |= set(re.findall(r"\w+", group))
    return found
