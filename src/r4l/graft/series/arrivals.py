# SPDX-License-Identifier: MIT
"""Parts of the kit's files that come with a later patch, found by the names in them.

- `mod NAME;` and imports through it come with the file NAME.rs;
- a statement that sets an operation of a table (`if D::HAS_PAUSE { ops.get_pauseparam = Some(Self::get_pauseparam); }`)
    comes with the function;
- a method or a constant of the trait `Driver` comes with the first file that calls it on a value `driver`, asks for it
    (`D::HAS_PAUSE`) or reads it (`D::COUNTERS`);
- an import comes with the first code that uses the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from r4l.graft.series import uses
from r4l.graft.series.items import without

CONDITION = re.compile(r"^( +)(if [^\n]* \{)\n((?:\1 [^\n]*\n)+)\1\}\n", re.MULTILINE)
OPERATION = re.compile(r"\bops\.\w+ = Some\(Self::(\w+)\);")
FUNCTION = re.compile(r"\bextern \"C\" fn (\w+)")
TRAIT = re.compile(r"^#\[vtable\]\npub trait Driver\b[^\n]*\n(.*?)^\}", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r"^    (fn|const) (\w+)", re.MULTILINE)
COMMENT = re.compile(r"//.*")
ROOTS = ("super", "crate", "kernel", "core")
CALLED = re.compile(r"\bdriver\s*\.(\w+)\(")
ASKED = re.compile(r"\bD::HAS_(\w+)")
READ = re.compile(r"\bD::(?!HAS_)(\w+)")


def present(texts: Mapping[str, str], whole: Mapping[str, str]) -> dict[str, str]:
    """Return the kit's files after a patch, without the parts that come with later patches.

    Args:
        texts: the files that the series has so far, by path, without the items that its table names.
        whole: all files of the series as the kit has them.
    """
    later = {name: _modules_of(name, whole) - _modules_of(name, texts) for name in texts}
    found = {name: _without_modules(code, later[name], name) for name, code in texts.items()}
    functions = {name for code in found.values() for name in FUNCTION.findall(code)}
    found = {name: _without_operations(code, functions, name) for name, code in found.items()}
    members = {name for code in found.values() for name in _members_in(code)}
    found = {name: _without_members(code, members, name) for name, code in found.items()}
    return {name: _without_unused(code, whole[name], name) for name, code in found.items()}


def _modules_of(name: str, files: Iterable[str]) -> set[str]:
    """Return the modules whose files are in the folder of a module."""
    folder = PurePosixPath(name).with_suffix("")
    return {path.stem for path in map(PurePosixPath, files) if path.parent == folder}


def _without_modules(code: str, modules: set[str], where: str) -> str:
    declared = [f"mod {module};" for module in sorted(modules) if re.search(rf"\bmod {module};$", code, re.MULTILINE)]
    code = without(code, declared, where)
    return _without_imports(code, lambda leaf: bool({*leaf[:2]} & modules) and leaf[0] not in ROOTS, where)


def _without_operations(code: str, functions: set[str], where: str) -> str:
    missing = [first for _, first, body in CONDITION.findall(code) if {*OPERATION.findall(body)} - functions]
    return without(code, missing, where)


def _members_in(code: str) -> set[str]:
    """Return the methods and constants of a driver that code uses."""
    return {*CALLED.findall(code), *READ.findall(code), *(name.lower() for name in ASKED.findall(code))}


def _without_members(code: str, used: set[str], where: str) -> str:
    members = [found for body in TRAIT.findall(code) for found in MEMBER.findall(body)]
    return without(code, [f"{kind} {name}" for kind, name in members if name not in used], where)


def _without_unused(code: str, whole: str, where: str) -> str:
    """Return code without the imports that the whole file uses and this part of it does not."""
    gone = _words(whole) - _words(code)
    return _without_imports(code, lambda leaf: _name(leaf) in gone, where)


def _words(code: str) -> set[str]:
    """Return the words of code outside of its imports and comments."""
    return {*re.findall(r"\w+", uses.BLOCK.sub("", COMMENT.sub("", code)))}


def _name(leaf: uses.Leaf) -> str:
    """Return the name by which code calls an imported item."""
    return leaf[-2] if leaf[-1] == "self" else leaf[-1].split()[-1]


def _without_imports(code: str, gone: Callable[[uses.Leaf], bool], where: str) -> str:
    """Return code without the imports for which `gone` is true. The others stay as they are written, if all stay."""
    dropped: list[uses.Leaf] = []

    def kept(leaf: uses.Leaf) -> list[uses.Leaf]:
        if gone(leaf):
            dropped.append(leaf)
            return []
        return [leaf]

    changed = uses.rewrite(code, kept, where)
    return re.sub(r"\n{3,}", "\n\n", changed) if dropped else code
