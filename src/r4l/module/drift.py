# SPDX-License-Identifier: MIT
"""The API of another kernel: the kernel that a module was written for, and the API of this kernel.

Linux promises no stable interface inside the kernel. rustc tells where a module does not fit; this module finds the
definition in the kernel's source, and another ready kernel or a known change (changes.toml) that has the API the module
expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
BOUND = re.compile(
    r"required by (?:a|this) bound in .*\n\s*(?:-->|:::) \S*?/(?P<file>rust/kernel/\S+\.rs):(?P<line>\d+):\d+$",
    re.MULTILINE,
)
SHOWN = re.compile(r"^\d+ +\| (.*)$", re.MULTILINE)
"""A line of the module that rustc shows."""
PATH = re.compile(r"\bkernel(?:::\w+)+")
ALIAS = re.compile(r"\b(?P<name>\w+) as (?P<alias>[A-Za-z]\w*)")
MODULE_MACRO = re.compile(r"\bmodule(?:_\w+)?!")
MOST_PATHS = 2
"""Number of paths up to which the items of one name are said to be where the module may find it."""

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
    tree: Callable[[Path], RustTree] = RustTree,
) -> dict[str, str] | None:
    """Find the facts for the text of an entry of build.toml.

    Args:
        lookup: name of one of the searches below.
        error: rustc's text of the error.
        groups: groups that the entry's pattern matched.
        folder: folder of the module.
        kernel: kernel that the module was built for.
        others: returns the other kernels that are ready.
        tree: returns the Rust source of a kernel's source tree; a cached one spares the reading for each error.

    Returns:
        `verdict`, `expected` (a clause that begins with a comma or is empty), `found`, `now`, `path`, and `wins`, not
            empty if a change explains all errors of the build; None if the error is not about the kernel's API.
    """
    plain = _without_aliases(folder)
    error = plain(error)
    text = {name: plain(str(value)) for name, value in groups.items()}
    change = _change(error)
    if lookup == "binding":
        return _binding(text["item"], kernel)
    if lookup == "configured":
        return _configured(tree(kernel.source), error, text, kernel)
    if lookup == "no_module":
        return None if _has_module_macro(error, folder) else {}
    if lookup == "only_change" and change is None:
        return None
    if lookup in ("change", "only_change"):
        seen: Seen | None = Seen("", lambda _tree: None)
    else:
        seen = SEARCHES[lookup](tree(kernel.source), error, text, folder)
    if seen is None:
        return None
    change = change or _change(f"`{seen.path}`")
    here = [path for path in seen.elsewhere if _holds(tree(kernel.source).condition(path.split("::")[1:]), kernel)]
    seen = replace(seen, elsewhere=tuple(here))
    verdict, expected, now = _whose(seen, change, kernel, [(other, tree(other.source)) for other in others()])
    wins = "yes" if change and change.wins else ""
    told = {"verdict": verdict, "found": seen.found, "path": seen.path, "expected": expected, "now": now, "wins": wins}
    return {**told, "trait": seen.path} if lookup == "trait_item" else told


def _holds(condition: str, kernel: Kernel) -> bool:
    """Return True if a `cfg` of one option holds, or there is none."""
    option = re.search(r"\bCONFIG_\w+", condition)
    value = kernel.config.get(option[0]) if option else "y"
    return value == "y" or (value == "m" and '= "y"' not in condition)


def apart(error: str) -> list[str]:
    """Return an error about several imports as errors about one import each."""
    head, _, body = error.partition("\n")
    if not head.startswith("error[E0432]: unresolved imports "):
        return [error]
    place = body.partition("\n")[0]
    paths = dict.fromkeys(re.findall(r"`([^`]+)`", head))
    # The body speaks of all of them.
    bodies = {path: place if path.startswith("kernel::") else body for path in paths}
    return [f"error[E0432]: unresolved import `{path}`\n{said}" for path, said in bodies.items()]


def _sources(folder: Path) -> str:
    return "\n".join(file.read_text(errors="replace", encoding="utf-8") for file in sorted(folder.rglob("*.rs")))


def _has_module_macro(error: str, folder: Path) -> bool:
    """Return True if the crate of a file has `module!` or a macro that makes one."""
    place = PLACE.search(error)
    file = folder / place["file"] if place else folder
    everything = _sources(folder)
    is_root = file.is_file() and not re.search(rf"\bmod {re.escape(file.stem)};", everything)
    return bool(MODULE_MACRO.search(file.read_text(errors="replace", encoding="utf-8") if is_root else everything))


def _without_aliases(folder: Path) -> Callable[[str], str]:
    """Return a function that writes names of `use … as NAME` as the kernel has them."""
    aliases = {
        match["alias"]: "::".join(filter(None, [_parent(match), match["name"]]))
        for statement in re.findall(r"\buse ([^;]*);", _sources(folder))
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


def _configured(tree: RustTree, error: str, groups: Mapping[str, str], kernel: Kernel) -> dict[str, str] | None:
    """Return the option without which the kernel's crate lacks a module or a macro that its source has."""
    path = groups.get("path") or _written_path(error, groups)
    segments = path.split("::")[1:]
    macro = tree.macro(segments[-1]) if len(segments) == 1 else None
    condition = tree.condition(tree.segments(macro.file) if macro else segments)
    option = re.search(r"\bCONFIG_\w+", condition)
    if option is None or _holds(condition, kernel):
        return None
    value = kernel.config.get(option[0])
    return {"path": path, "found": f"{condition}; here {option[0]} is {value or 'not set'}"}


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
    seen: Seen, change: RustApiChange | None, kernel: Kernel, others: Sequence[tuple[Kernel, RustTree]]
) -> tuple[str, str, str]:
    """Return the verdict, the owner of the API that the module expects (as a clause), and the remedy."""
    own_way = f"write it as Linux {kernel.release} has it ({kernel.source}/rust/kernel)"
    for other, its_tree in others:
        definition = seen.fits(its_tree)
        if definition:
            remedy = f"{own_way}, or build for the kernel that it was written for: `--kernel {other.release}`"
            return ANOTHER, f", as Linux {other.release} has it: {definition}", remedy
    if change:
        return ANOTHER, f", as {change.expected}", change.now
    if 0 < len(seen.elsewhere) <= MOST_PATHS:
        paths = " or ".join(f"`{path}`" for path in seen.elsewhere)
        return ANOTHER, "", f"Linux {kernel.release} has this name elsewhere: write {paths}"
    remedy = f"{own_way}, or build for the kernel that it was written for (`--kernel RELEASE`)"
    if others:
        names = ", ".join(other.release for other, _tree in others)
        return UNFIT, f", which none of the other kernels here ({names}) has either", remedy
    return UNFIT, "", remedy


def _trait_item(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    name = _trait(error, groups, folder)
    trait = name.split("::")[-1] if name else None
    if trait and _is_own(folder, "trait", trait):
        return None
    items = re.findall(r"\w+", groups["item"])
    item = items[0]
    module = _module_of(name, folder, error) if name else ""
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
        bound = re.search(rf"\b{re.escape(name)}: (?:\?\w+ \+ )?([\w:]+)", _sources(folder))
        name = None if name == "Self" else _without_aliases(folder)(bound[1]) if bound else name
    return name or _implemented(error, folder)


def _module_of(path: str, folder: Path, error: str) -> str:
    """Return the module of the crate `kernel` that a name is from: `pci` of `pci::Driver` or `use
    kernel::pci::Driver`. What the file of the error imports counts first."""
    segments = path.split("::")
    if len(segments) > 1:
        return segments[-2]
    used = re.compile(rf"\b(\w+)::(?:\{{[^{{}}]*\b)?{re.escape(path)}\b")
    place = PLACE.search(error)
    itself = folder / place["file"] if place else folder
    files = sorted(folder.rglob("*.rs"), key=lambda file: (file != itself, file))
    found = (used.search(file.read_text(errors="replace", encoding="utf-8")) for file in files)
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
    return _without_aliases(folder)(found["trait"]) if found else None


def _path(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    if "E0603" in error:
        return _private(tree, error, groups)
    path = groups.get("path") or _written_path(error, groups)
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
    imported = re.search(rf"\buse kernel::[^;]*\b{re.escape(parent)}\b", _sources(folder))
    return f"kernel::{parent}::{item}" if there and imported else ""


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
    own = {name for name in names.values() if any(_is_own(folder, keyword, name) for keyword in keywords)}
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
    if any(_is_own(folder, keyword, name) for keyword in ("struct", "enum", "union", "type", "trait")):
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
    return _in_module(tree.types(name), _module_of(path, folder, error))


def _fields(tree: RustTree, error: str, groups: Mapping[str, str], folder: Path) -> Seen | None:
    """Return the kernel's struct that has other fields."""
    path = re.sub(r"^(?:&(?:'\w+ )?(?:mut )?)*|<.*$", "", groups["type"])
    name = path.split("::")[-1]
    here = [d for d in _types(tree, path, folder, error) if " struct " in d.text]
    if not here or _is_own(folder, "struct", name):
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
        if _is_own(folder, "trait", name)
        else _in_module(tree.traits(name), _module_of(groups["trait"], folder, error))
    )
    if not here:
        return None
    has = " unsafe " in here[0].text

    def fits(other: RustTree) -> Definition | None:
        return next((d for d in other.traits(name) if (" unsafe " in d.text) != has), None)

    return Seen(str(here[0]), fits)


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
    "fields": _fields,
    "bound": _bound,
    "unsafe_trait": _unsafe_trait,
}
