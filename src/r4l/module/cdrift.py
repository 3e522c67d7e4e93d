# SPDX-License-Identifier: MIT
"""Errors of gcc, clang and modpost that come from an old or new C API, explained by the table of changes and by the
kernel's headers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from r4l.arch import architecture
from r4l.kernel import Kernel
from r4l.known import Explanation, c_changes, c_messages
from r4l.known.c_changes import CApiChange
from r4l.module import declared, headers
from r4l.module.headers import Found, Headers
from r4l.paths import text_or_none

ANOTHER = "the module expects another kernel's API"
READERS = ("scripts/Makefile.lib", "scripts/Makefile.build", "scripts/Makefile.compiler")
"""The kernel's makefiles that read the variables of a module's makefile."""


def explain(error: str, kernel: Kernel) -> Explanation | None:
    """Return the change of the kernel's C API that caused an error; None if the table has none that holds for the
    kernel.

    Args:
        error: one error, as `errors_in` cuts it out.
        kernel: kernel that the module was built for.
    """
    for change, name in c_changes.recognise(error):
        place = change.place(kernel.source)
        if place:
            return _told(change, name, place, kernel, error.partition("\n")[0])
    return None


def _told(change: CApiChange, name: str, place: str, kernel: Kernel, text: str) -> Explanation:
    cause = f"{ANOTHER}: expected: {change.expected(name)}; found: {change.found(name, kernel.release)}"
    return Explanation(f"c: {change.id}", cause, f"{change.now} (the kernel's {place})", text)


def makefile(folder: Path, kernel: Kernel) -> Iterator[Explanation]:
    """Yield an explanation for each variable in a module's makefiles that this kernel's Kbuild no longer reads."""
    reads = "".join(_text(kernel.source / name) for name in READERS)
    names = {"Makefile", "Kbuild"}
    for file in sorted(Path(place, name) for place, _, files in os.walk(folder) for name in names.intersection(files)):
        for change, name in c_changes.makefile_variables(_text(file)):
            place = change.place(kernel.source)
            if place and name not in reads:
                where = file.relative_to(folder)
                cause = f"{where} sets {name}, which {change.found(name, kernel.release)}: its flags do nothing"
                if name == "SUBDIRS":
                    cause = f"{where} gives make {name}=, which {change.found(name, kernel.release)}"
                yield Explanation(f"c: {change.id}", cause, f"{change.now} (the kernel's {place})", "")


def guess(error: str, kernel: Kernel) -> Explanation | None:
    """Return what the kernel's headers have for the missing name of an error, or for the function that it is about.

    Returns:
        An explanation that names the header to include (`c-include`) or the condition that hides the name
            (`c-hidden`) or, marked as a guess, the similar names (`c-guess`), or one of `r4l.module.declared`; None if
            the headers have nothing of use.
    """
    head = error.partition("\n")[0]
    index = headers_of(kernel)
    name = c_messages.undeclared(head)
    if name:
        return _name(index, name, head, kernel)
    header = c_messages.gone_header(head)
    if header:
        return _header(index, header, head, kernel)
    struct = c_messages.incomplete(error)
    if struct:
        return _opaque(index, struct, head, kernel)
    struct, member = c_messages.gone_member(head)
    if struct and member:
        return _member(index, struct, member, head, kernel)
    return declared.explain(error, index, kernel)


def headers_of(kernel: Kernel) -> Headers:
    """Return the headers of a kernel, for its architecture."""
    return headers.of(kernel.source, architecture(kernel.arch).kbuild, kernel.key)


def _name(index: Headers, name: str, head: str, kernel: Kernel) -> Explanation | None:
    there = _seen(index, index.places(name), kernel)
    if there and index.is_tag(there) and "type name" not in head:
        there = None
    if there:
        said = _there(there, index.conditions(there), head, kernel)
        if said:
            return said
    alike = index.resembling(name, function=" function " in head)
    if not alike:
        return None
    names = ", ".join(map(str, alike))
    cause = f"`{name}` is not in the headers of Linux {kernel.release}; they have {names}: a guess"
    return Explanation("c-guess", cause, "check whether one of these was meant, or declare the name", head)


def _seen(index: Headers, places: list[Found], kernel: Kernel) -> Found | None:
    """Return the definition that counts: of those that a header has under opposite conditions, the one that holds."""
    same = [place for place in places if place.file == places[0].file]
    return next((place for place in same if not hides(index.conditions(place), kernel)), next(iter(same), None))


def _there(found: Found, conditions: list[str], head: str, kernel: Kernel) -> Explanation | None:
    """Tell where a name is declared; None for one that the headers keep for user space."""
    if any("__KERNEL__" in condition and not condition.startswith("#ifdef") for condition in conditions):
        return None
    where = f"`{found.name}` is declared in {found.file}:{found.line} of Linux {kernel.release}"
    hidden = hides(conditions, kernel)
    if hidden:
        return Explanation(
            "c-hidden", f"{where}, but {hidden}", "do without it, or build for a kernel that has it", head
        )
    cause = f"{where}, which the file does not include"
    remedy = f"write `#include <{found.wanted}>`"
    if conditions:
        remedy += f"; if the file has it, a condition hides the name (`{conditions[-1]}`)"
    return Explanation("c-include", cause, remedy, head)


def hides(conditions: list[str], kernel: Kernel) -> str:
    """Say which condition of the preprocessor does not hold for modules of a kernel; empty if all may hold."""
    return next((said for condition in conditions if (said := _hides(condition, kernel))), "")


def _hides(condition: str, kernel: Kernel) -> str:
    if condition == "#ifndef MODULE":
        return "not for modules (`#ifndef MODULE`)"
    match = re.fullmatch(r"(not )?#(ifdef|ifndef|if) (?:defined\((\w+)\)|IS_ENABLED\((\w+)\)|(\w+))", condition)
    if match is None:
        return ""
    option = match[3] or match[4] or match[5]
    if not option.startswith("CONFIG_"):
        return ""
    wanted = (match[2] != "ifndef") != bool(match[1])
    return "" if (option in kernel.config) == wanted else f"only {'with' if wanted else 'without'} {option}"


def _header(index: Headers, header: str, head: str, kernel: Kernel) -> Explanation | None:
    alike = index.files(header)
    if not alike:
        return None
    names = ", ".join(f"<{name}>" for name in alike)
    cause = f"the headers of Linux {kernel.release} have {names}: a guess"
    return Explanation("c-guess", cause, "check whether one of these was meant", head)


def _opaque(index: Headers, struct: str, head: str, kernel: Kernel) -> Explanation | None:
    if len(struct) <= headers.SHORT:
        return None
    found = index.named(struct)
    if found:
        where = f"{found.file}:{found.line} of Linux {kernel.release}"
        cause = f"`struct {struct}` is defined in {where}, which the file does not include"
        return Explanation("c-include", cause, f"write `#include <{found.wanted}>`", head)
    cause = f"no header of Linux {kernel.release} defines `struct {struct}`, so the file knows its name only"
    remedy = (
        "if it is the module's own, include its header; the kernel's are used by functions that take a pointer to them"
    )
    return Explanation("c-opaque", cause, remedy, head)


def _member(index: Headers, struct: str, member: str, head: str, kernel: Kernel) -> Explanation | None:
    found = index.members(struct, member)
    if found is None:
        return None
    where, alike = found
    there = index.member(struct, member)
    if there:
        inner = index.conditions(there)[len(index.conditions(where)) :]
        hidden = hides(inner, kernel)
        if not hidden and not inner:
            # The compiler knows the struct's name only.
            return _opaque(index, struct, head, kernel)
        if hidden:
            place = f"{there.file}:{there.line} of Linux {kernel.release}"
            cause = f"`{member}` of `struct {struct}` is in {place}, but {hidden}"
            return Explanation("c-hidden", cause, "do without it, or build for a kernel that has it", head)
    names = ", ".join(f"`{name}`" for name in alike if name != member)
    guessed = f"; the headers have {names}: a guess" if names else ""
    cause = f"`struct {struct}` of Linux {kernel.release} has no `{member}`{guessed}"
    return Explanation("c-guess", cause, f"see its definition in the kernel's {where.file}:{where.line}", head)


def _text(file: Path) -> str:
    return text_or_none(file)
