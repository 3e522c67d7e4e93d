# SPDX-License-Identifier: MIT
"""The API of another kernel: the kernel that a module was written for, and the API of this kernel.

Linux promises no stable interface inside the kernel. rustc tells where a module does not fit; this module finds the
definition in the kernel's source, and another ready kernel or a known change (changes.toml) that has the API the module
expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import cdrift
from r4l.module.rusttree import Definition, RustTree, generics, parameters, types_of

POINTED = re.compile(r"^\s*(?:-->|:::) \S*?/(?P<file>rust/kernel/\S+\.rs):(?P<line>\d+):\d+$", re.MULTILINE)
ANOTHER = "the module expects another kernel's API"
UNFIT = "the module does not fit the kernel's API"
"""Verdict if no known kernel has what the module expects: the module itself may be wrong."""
PLACE = re.compile(r"^\s*--> (?P<file>.+?):(?P<line>\d+):\d+$", re.MULTILINE)
IMPL = re.compile(r"\bimpl\b(?:<.*>)?\s+(?P<trait>[\w:]+)(?:<.*>)?\s+for\b")
SHOWN = re.compile(r"^\d+ +\| (.*)$", re.MULTILINE)
"""A line of the module that rustc shows."""
PATH = re.compile(r"\bkernel(?:::\w+)+")

Fits = Callable[[RustTree], Definition | None]
"""Function that finds in a tree what the module expects; None if the tree does not have it."""


@dataclass(frozen=True)
class Seen:
    """The definition in this kernel, and the search for the expected one in another."""

    found: str
    fits: Fits
    path: str = ""


@dataclass(frozen=True)
class RustApiChange:
    """A known change of the API: see changes.toml."""

    pattern: re.Pattern[str]
    expected: str
    now: str
    proof: tuple[str, str]
    wins: bool = False


CHANGE = {"pattern!": str, "expected": str, "now": str, "proof": [str], "wins?": bool}
"""Keys of a row of changes.toml."""


@cache
def changes() -> tuple[RustApiChange, ...]:
    """Read the table of changes."""
    data = resources.table(__package__, "changes.toml", {"change": [CHANGE]})
    return tuple(
        RustApiChange(
            re.compile(entry["pattern"]),
            entry["expected"],
            entry["now"],
            tuple(entry["proof"]),
            entry.get("wins", False),
        )
        for entry in data["change"]
    )


def block(output: str, begin: int) -> str:
    """Return one error of rustc's, from its first line to the next error."""
    end = re.compile(r"^(?:error|warning)(?:\[E\d+\])?: |^make(?:\[\d+\])?: ", re.MULTILINE).search(output, begin + 1)
    return output[begin : end.start() if end else len(output)]


def look_up(
    lookup: str,
    error: str,
    groups: Mapping[str, object],
    folder: Path,
    kernel: Kernel,
    others: Callable[[], Sequence[Kernel]],
) -> dict[str, str] | None:
    """Find the facts for the text of an entry of build.toml.

    Args:
        lookup: name of one of the searches below.
        error: rustc's text of the error.
        groups: groups that the entry's pattern matched.
        folder: folder of the module.
        kernel: kernel that the module was built for.
        others: returns the other kernels that are ready.

    Returns:
        `verdict`, `expected` (a clause that begins with a comma or is empty), `found`, `now`, `path`, and `wins`, not
            empty if a change explains all errors of the build; None if the error is not about the kernel's API.
    """
    text = {name: str(value) for name, value in groups.items()}
    change = _change(error)
    if lookup == "binding":
        return _binding(text["item"], kernel)
    if lookup == "only_change" and change is None:
        return None
    if lookup in ("change", "only_change"):
        seen: Seen | None = Seen("", lambda _tree: None)
    else:
        seen = SEARCHES[lookup](RustTree(kernel.source), error, text, folder)
    if seen is None:
        return None
    verdict, expected, now = _whose(seen, error, text, kernel, others())
    wins = "yes" if change and change.wins else ""
    return {"verdict": verdict, "found": seen.found, "path": seen.path, "expected": expected, "now": now, "wins": wins}


def _change(error: str) -> RustApiChange | None:
    return next((change for change in changes() if change.pattern.search(error)), None)


def _binding(item: str, kernel: Kernel) -> dict[str, str]:
    """Return the place of a C name in the headers for which bindgen makes no binding."""
    there = cdrift.headers_of(kernel).named(item)
    write = f"look for the abstraction in {kernel.source}/rust/kernel"
    if there is None:
        return {
            "found": f"the headers of Linux {kernel.release} do not have it",
            "now": f"correct the name, or {write}",
        }
    found = f"in {there.file}:{there.line} it is inline or a macro, and bindgen makes bindings of neither"
    return {"found": found, "now": f"{write}, or call it from a C file of the module, as rust/drivers/c_from_rust does"}


def _whose(
    seen: Seen, error: str, groups: Mapping[str, str], kernel: Kernel, others: Sequence[Kernel]
) -> tuple[str, str, str]:
    """Return the verdict, the owner of the API that the module expects (as a clause), and the remedy."""
    own_way = f"write it as Linux {kernel.release} has it ({kernel.source}/rust/kernel)"
    for other in others:
        definition = seen.fits(RustTree(other.source))
        if definition:
            remedy = f"{own_way}, or build for the kernel that it was written for: `--kernel {other.release}`"
            return ANOTHER, f", as Linux {other.release} has it: {definition}", remedy
    change = _change(error)
    if change:
        return ANOTHER, f", as {change.expected}", change.now
    remedy = f"{own_way}, or build for the kernel that it was written for (`--kernel RELEASE`)"
    if others:
        names = ", ".join(other.release for other in others)
        return UNFIT, f", which none of the other kernels here ({names}) has either", remedy
    return UNFIT, "", remedy


def _trait_item(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    name = groups.get("trait") or _implemented(error, folder)
    trait = name.split("::")[-1] if name else None
    if trait and _is_own(folder, "trait", trait):
        return None
    item = groups["item"]
    module = _module_of(name, folder) if name else ""
    declared = _in_module(tree.trait_items(item, trait), module)
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
            candidates = _in_module(other.traits(trait), module) if trait and not candidates else []
        elif declared:
            candidates = [d for d in candidates if written and types_of(d.text) == types_of(written[1])]
        return candidates[0] if candidates else None

    return Seen(str(here[0]), fits, name or item)


def _module_of(trait: str, folder: Path) -> str:
    """Return the module of the crate `kernel` that a trait is from: `pci` of `pci::Driver` or `use
    kernel::pci::Driver`."""
    segments = trait.split("::")
    if len(segments) > 1:
        return segments[-2]
    used = re.compile(rf"\b(\w+)::(?:\{{[^{{}}]*\b)?{re.escape(trait)}\b")
    found = (used.search(file.read_text(errors="replace", encoding="utf-8")) for file in sorted(folder.rglob("*.rs")))
    return next((match[1] for match in found if match), "")


def _in_module(found: list[Definition], module: str) -> list[Definition]:
    """Return those of some definitions of one name that lie in the files of a module; all if none does."""
    return [d for d in found if module in (d.file.stem, d.file.parent.name)] or found


def _implemented(error: str, folder: Path) -> str | None:
    """Return the trait of the module's `impl` block that an error points into."""
    place = PLACE.search(error)
    file = folder / place["file"] if place else folder
    if place is None or not file.is_file():
        return None
    above = file.read_text(errors="replace", encoding="utf-8").splitlines()[: int(place["line"])]
    found = next((match for match in map(IMPL.search, reversed(above)) if match), None)
    return found["trait"] if found else None


def _path(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    if "E0603" in error:
        return _private(tree, error, groups)
    path = groups.get("path") or _written_path(error, groups)
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

    return Seen(f"`{parent}`, {file}, has no `{segments[known]}`", fits, path)


def _written_path(error: str, groups: Mapping[str, str]) -> str:
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

    def fits(other: RustTree) -> Definition | None:
        return other.name_in(pointed.file, item)

    return Seen(f"it is private there: {pointed}", fits, item)


def _pointed_definition(tree: RustTree, error: str) -> Definition | None:
    match = POINTED.search(error)
    return tree.definition_at(Path(match["file"]), int(match["line"])) if match else None


def _pointed(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    here = _pointed_definition(tree, error)
    name = re.search(r"\b(fn|struct|enum|union|trait|type) (\w+)", here.text) if here else None
    if here is None or name is None:
        return None
    if name[1] != "fn":
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
    names = re.findall(r"\b[A-Z]\w*", "".join(SHOWN.findall(error)[:1]))
    own = {
        name for name in names if any(_is_own(folder, keyword, name) for keyword in ("struct", "enum", "type", "trait"))
    }
    with_lifetime = [
        (name, definition)
        for name in names
        if name not in own
        for definition in tree.types(name)
        if any(part.startswith("'") for part in generics(definition.text))
    ]
    if not with_lifetime:
        return None
    name, here = with_lifetime[0]

    def fits(other: RustTree) -> Definition | None:
        return next((d for d in other.types(name) if not any(p.startswith("'") for p in generics(d.text))), None)

    return Seen(str(here), fits, name)


def _macro(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's macro that rejects its arguments."""
    place = re.search(r"--> \S*?/(rust/kernel/\S+\.rs:\d+):\d+$", error, re.MULTILINE)
    name = re.search(r"\b(\w+)!", "".join(SHOWN.findall(error)[:1]))
    return Seen(place[1], lambda _tree: None, name[1]) if place and name else None


def _method(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    name = groups["type"].split("::")[-1]
    item = groups["item"]
    if any(_is_own(folder, keyword, name) for keyword in ("struct", "enum", "union", "type", "trait")):
        return None
    here = tree.types(name)
    if not here:
        return None
    files = [definition.file for definition in here]

    def fits(other: RustTree) -> Definition | None:
        return next(iter(other.functions(item, [d.file for d in other.types(name)])), None)

    similar = _pointed_definition(tree, error)
    if similar and similar.file in files:
        return Seen(f"similar: {similar}", fits)
    return Seen(f"the type: {here[0]}", fits)


def _is_own(folder: Path, keyword: str, name: str) -> bool:
    """Return True if the module itself defines an item of that kind and name."""
    pattern = re.compile(rf"\b{keyword} {re.escape(name)}\b")
    return any(pattern.search(file.read_text(errors="replace", encoding="utf-8")) for file in folder.rglob("*.rs"))


SEARCHES: dict[str, Callable[[RustTree, str, Mapping[str, str], Path], Seen | None]] = {
    "trait_item": _trait_item,
    "path": _path,
    "pointed": _pointed,
    "argument": _argument,
    "lifetime": _lifetime,
    "macro": _macro,
    "method": _method,
}
