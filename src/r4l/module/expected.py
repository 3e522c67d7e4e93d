# SPDX-License-Identifier: MIT
"""Searches for the kernel's definition that an error of rustc's is about, and for the expected one in another kernel.

Each search reads the error and returns a `Seen`; None if the error is not about the kernel's API. Entries of
`known/build.toml` name their search (`lookup`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from r4l.module.own_rust import defines, implemented, module_of, text_of, without_aliases
from r4l.module.rusttree import Definition, RustTree, generics, parameters, types_of

POINTED = re.compile(r"^\s*(?:-->|:::) \S*?/(?P<file>rust/kernel/\S+\.rs):(?P<line>\d+):\d+$", re.MULTILINE)
BOUND = re.compile(
    r"required by (?:a|this) bound in .*\n\s*(?:-->|:::) \S*?/(?P<file>rust/kernel/\S+\.rs):(?P<line>\d+):\d+$",
    re.MULTILINE,
)
SHOWN = re.compile(r"^\d+ +\| (.*)$", re.MULTILINE)
"""A line of the module that rustc shows."""
PATH = re.compile(r"\bkernel(?:::\w+)+")
Fits = Callable[[RustTree], Definition | None]
"""Function that finds in a tree what the module expects; None if the tree does not have it."""


@dataclass(frozen=True)
class Seen:
    """The definition in this kernel, and the search for the expected one in another.

    Attributes:
        found: the definition.
        fits: the search.
        path: path of the name.
        elsewhere: paths of the items that have the name in this kernel.
    """

    found: str
    fits: Fits
    path: str = ""
    elsewhere: tuple[str, ...] = ()


def _trait_item(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    name = _trait(error, groups, folder)
    trait = name.split("::")[-1] if name else None
    if trait and defines(folder, "trait", trait):
        return None
    items = re.findall(r"\w+", groups["item"])
    item = items[0]
    module = module_of(name, folder, error) if name else ""
    declared = [d for each in items for d in _in_module(tree.trait_items(each, trait), module)[:1]]
    here = declared or (_in_module(tree.traits(trait), module) if trait else [])
    if not here:
        return None
    written = re.search(r"found signature `(.*)`", error)

    def fits(other: RustTree) -> Definition | None:
        candidates = _in_module(other.trait_items(item, trait), module)
        if "wants" in groups:
            candidates = [d for d in candidates if len(parameters(d.text)) == int(groups["has"])]
        elif "self" in groups:
            has_self = groups["where"] == "impl"
            candidates = [d for d in candidates if (_arguments(d.text) < len(parameters(d.text))) is has_self]
        elif "E0046" in error:
            # The module expects the trait without the item.
            there = [each for each in items if _in_module(other.trait_items(each, trait), module)]
            candidates = _in_module(other.traits(trait), module) if trait and not there else []
        elif declared:
            candidates = [d for d in candidates if written and types_of(d.text) == types_of(written[1])]
        return candidates[0] if candidates else None

    shown = here if "E0046" in error else here[:1]
    return Seen(", ".join(map(str, shown)), fits, name or item)


def _trait(error: str, groups: Mapping[str, str], folder: Path) -> str | None:
    """Return the trait of an error: named by it, implemented around its place, or the bound of a type parameter."""
    name = groups.get("trait")
    if "E0220" in error and name:
        bound = re.search(rf"\b{re.escape(name)}: (?:\?\w+ \+ )?([\w:]+)", text_of(folder))
        name = None if name == "Self" else without_aliases(folder)(bound[1]) if bound else name
    return name or implemented(error, folder)


def _in_module(found: list[Definition], module: str) -> list[Definition]:
    """Return those of some definitions of one name that lie in the files of a module; all if none does."""
    return [d for d in found if module in (d.file.stem, d.file.parent.name)] or found


def _path(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    if "E0603" in error:
        return _private(tree, error, groups)
    path = groups.get("path") or written_path(error, groups)
    if not path:
        path = _used_path(tree, groups, folder)
    if not path:
        return None
    segments = path.split("::")[1:]
    known, file = 0, tree.module([])
    while file and known < len(segments) and tree.module(segments[: known + 1]):
        known += 1
        file = tree.module(segments[:known])
    if file is None or known == len(segments):
        return None
    parent = "::".join(["kernel", *segments[:known]])

    def fits(other: RustTree) -> Definition | None:
        there = other.module(segments[:-1])
        whole = other.module(segments)
        return (other.name_in(there, segments[-1]) if there else None) or (
            Definition(whole, 1, f"mod {segments[-1]}") if whole else None
        )

    return Seen(f"`{parent}`, {file}, has no `{segments[known]}`", fits, path, _elsewhere(tree, segments[known:]))


def _elsewhere(tree: RustTree, names: list[str]) -> tuple[str, ...]:
    """Return the paths of a name in this kernel; that of the prelude alone if it has the name."""
    paths = tree.paths_of(names[0])
    paths = [path for path in paths if path.startswith("kernel::prelude::")] or paths
    if len(names) > 1:
        modules = [(path, tree.module(path.split("::")[1:])) for path in paths]
        paths = [f"{path}::{names[1]}" for path, file in modules if file and tree.name_in(file, names[1])]
    return tuple(paths)


def _used_path(tree: RustTree, groups: Mapping[str, str], folder: Path) -> str:
    """Return the path of a name in a module that the file imports by its last name: `irq::Return`."""
    parent, item = groups.get("parent", "").removeprefix("kernel::"), groups["item"]
    there = parent.isidentifier() and tree.module([parent])
    imported = re.search(rf"\buse kernel::[^;]*\b{re.escape(parent)}\b", text_of(folder))
    return f"kernel::{parent}::{item}" if there and imported else ""


def written_path(error: str, groups: Mapping[str, str]) -> str:
    """Return the path of the crate `kernel` in the module's line that the error points to, up to the unknown name."""
    item, parent = groups["item"], groups.get("parent", "")
    if parent.startswith("kernel::") or parent == "kernel":
        return f"{parent}::{item}"
    line = re.search(r"^\d+ +\| (.*)$", error, re.MULTILINE)
    for written in PATH.findall(line[1] if line else ""):
        head, found, _rest = f"{written}::".partition(f"::{item}::")
        if found:
            return f"{head}::{item}"
    return ""


def _private(tree: RustTree, error: str, groups: Mapping[str, str]) -> Seen | None:
    pointed = _pointed_definition(tree, error)
    if pointed is None:
        return None
    item = groups["item"]
    # Of a private module, the name behind it is wanted.
    behind = re.search(rf"\b{re.escape(item)}::(\w+)", "".join(SHOWN.findall(error)[:1]))

    def fits(other: RustTree) -> Definition | None:
        return other.name_in(pointed.file, item)

    return Seen(f"it is private there: {pointed}", fits, item, _elsewhere(tree, [behind[1] if behind else item]))


def _pointed_definition(tree: RustTree, error: str) -> Definition | None:
    match = POINTED.search(error)
    return tree.definition_at(Path(match["file"]), int(match["line"])) if match else None


def _pointed(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    here = _pointed_definition(tree, error)
    name = re.search(r"\b(fn|struct|enum|union|trait|type) (\w+)", here.text) if here else None
    if here is None or name is None:
        return None
    if name[1] != "fn":
        groups = {"of": "generic", "has": "0", **groups}
        return Seen(str(here), lambda other: next((d for d in other.types(name[2]) if _takes(d.text, groups)), None))
    has = int(groups["has"])

    def fits(other: RustTree) -> Definition | None:
        candidates = other.functions(name[2], [here.file])
        return next((d for d in candidates if d.text != here.text and _arguments(d.text) == has), None)

    return Seen(str(here), fits)


def _arguments(signature: str) -> int:
    """Return the number of arguments that a caller gives, `self` not counted."""
    return len([p for p in parameters(signature) if not re.match(r"(?:&(?:'\w+ )?)?(?:mut )?self\b", p)])


def _takes(definition: str, groups: Mapping[str, str]) -> bool:
    """Return True if a type takes as many generic arguments as the module gives it."""
    lifetimes = groups["of"] == "lifetime"
    of_kind = [part for part in generics(definition) if part.startswith("'") is lifetimes]
    needed = [part for part in of_kind if "=" not in part]
    return len(needed) <= int(groups["has"]) <= len(of_kind)


def _argument(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    here = _pointed_definition(tree, error)
    name = re.search(r"\bfn (\w+)", here.text) if here else None
    if here is None or name is None or "are incorrect" not in error:
        return None

    def fits(other: RustTree) -> Definition | None:
        candidates = other.functions(name[1], [here.file])
        return next((d for d in candidates if re.search(rf"\b{re.escape(groups['has'])}\b", d.text)), None)

    return Seen(str(here), fits)


def _lifetime(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's type that needs a lifetime in the line that rustc shows."""
    paths = re.findall(r"(?:\b\w+::)*\b[A-Z]\w*", "".join(SHOWN.findall(error)[:1]))
    names = {path: path.split("::")[-1] for path in paths}
    keywords = ("struct", "enum", "type", "trait")
    own = {name for name in names.values() if any(defines(folder, keyword, name) for keyword in keywords)}
    with_lifetime = [
        (path, definition)
        for path, name in names.items()
        if name not in own
        for definition in _types(tree, path, folder, error)
        if any(part.startswith("'") for part in generics(definition.text))
    ]
    if not with_lifetime:
        return None
    path, here = with_lifetime[0]

    def fits(other: RustTree) -> Definition | None:
        candidates = _types(other, path, folder, error)
        return next((d for d in candidates if not any(p.startswith("'") for p in generics(d.text))), None)

    return Seen(str(here), fits, path)


def _macro(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's macro that rejects its arguments."""
    place = re.search(r"--> \S*?/(rust/kernel/\S+\.rs:\d+):\d+$", error, re.MULTILINE)
    name = re.search(r"\b(\w+)!", "".join(SHOWN.findall(error)[:1]))
    return Seen(place[1], lambda _tree: None, name[1]) if place and name else None


def _method(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    name = groups["type"].split("::")[-1]
    item = groups["item"]
    if any(defines(folder, keyword, name) for keyword in ("struct", "enum", "union", "type", "trait")):
        return None
    here = _types(tree, groups["type"], folder, error)
    if not here:
        return None
    files = [definition.file for definition in here]

    def fits(other: RustTree) -> Definition | None:
        return next(iter(other.functions(item, [d.file for d in other.types(name)])), None)

    similar = _pointed_definition(tree, error)
    if similar and similar.file in files:
        return Seen(f"similar: {similar}", fits)
    return Seen(f"the type: {here[0]}", fits)


def _types(tree: RustTree, path: str, folder: Path, error: str) -> list[Definition]:
    """Return the definitions of a type, of which several modules may have one."""
    name = path.split("::")[-1]
    return _in_module(tree.types(name), module_of(path, folder, error))


def _fields(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's struct that has other fields."""
    path = re.sub(r"^(?:&(?:'\w+ )?(?:mut )?)*|<.*$", "", groups["type"])
    name = path.split("::")[-1]
    here = [d for d in _types(tree, path, folder, error) if " struct " in d.text]
    if not here or defines(folder, "struct", name):
        return None
    items = re.findall(r"\w+", groups["item"])
    missing = "E0063" in error

    def fits(other: RustTree) -> Definition | None:
        candidates = [d for d in _types(other, path, folder, error) if " struct " in d.text]
        return next((d for d in candidates if all((item in other.fields(d)) != missing for item in items)), None)

    fields = ", ".join(f"`{field}`" for field in tree.fields(here[0])) or "none that modules may use"
    return Seen(f"{here[0]}, whose fields are {fields}", fits, path)


def _bound(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's definition that requires a trait."""
    place = BOUND.search(error)
    here = tree.enclosing(Path(place["file"]), int(place["line"])) if place else None
    return Seen(str(here), lambda _tree: None) if here else None


def _unsafe_trait(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's trait whose implementation is unsafe, or is not."""
    name = groups["trait"].split("::")[-1]
    here = (
        []
        if defines(folder, "trait", name)
        else _in_module(tree.traits(name), module_of(groups["trait"], folder, error))
    )
    if not here:
        return None
    has = " unsafe " in here[0].text

    def fits(other: RustTree) -> Definition | None:
        return next((d for d in other.traits(name) if (" unsafe " in d.text) != has), None)

    return Seen(str(here[0]), fits)


SEARCHES: dict[str, Callable[[RustTree, str, Mapping[str, str], Path], Seen | None]] = {
    "trait_item": _trait_item,
    "path": _path,
    "pointed": _pointed,
    "argument": _argument,
    "lifetime": _lifetime,
    "macro": _macro,
    "method": _method,
    "fields": _fields,
    "bound": _bound,
    "unsafe_trait": _unsafe_trait,
}
