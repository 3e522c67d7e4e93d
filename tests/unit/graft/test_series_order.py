# SPDX-License-Identifier: MIT
"""No patch of the series uses what a later one adds, or what the series leaves out: names in code and in links of
documentation. Only a build proves more (tests/kernels/test_series.py)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft.series import table
from r4l.graft.series.states import Series

KIT = resources.kit()
COMMENT = re.compile(r"^\s*//.*", re.MULTILINE)
ITEM = re.compile(r"(?<![*'])\b(?:fn|struct|enum|trait|type|const|static|mod|union|macro_rules!) (\w+)")
VARIANT = re.compile(r"^    ([A-Z]\w*)(?:\(.*\))?,$", re.MULTILINE)
LINK = re.compile(r"\[`([\w:]+)[!`(]")
USED = re.compile(r"(?<!bindings)(?:::|\.)([a-z_]\w*)|(?<!bindings::)\b([A-Z]\w+)")
METHOD = re.compile(r"\bHAS_(\w+)")
DECLARATION = re.compile(r"^(?:pub(?:\(\w+\))? )?use [^;]+;", re.MULTILINE)
COMMON = {"Device", "Item", "None", "count", "flags", "len", "load", "new", "ptr", "write"}
"""Names of the kit's items that core, the crate `kernel` or structures of C have, too."""
NESTED = tuple(f"rust/kernel/net/{name}/" for name in ("dma", "netdev", "pci"))
"""Folders of modules inside modules."""

State = tuple[str, dict[str, str]]
"""A patch's subject, and the texts of the series' Rust files after it."""


def defined(code: str) -> set[str]:
    """Return names of items and variants in Rust code."""
    code = DECLARATION.sub("", COMMENT.sub("", code))
    return {*ITEM.findall(code), *VARIANT.findall(code)}


def used(code: str) -> set[str]:
    """Return names behind `::` or a dot and names with a capital in Rust code, methods that `#[vtable]` is asked for,
    and the last segments of documentation's links."""
    links = {path.rpartition("::")[2] for path in LINK.findall(code)}
    code = COMMENT.sub("", code)
    methods = {name.lower() for name in METHOD.findall(code)}
    return links | methods | {name for names in USED.findall(code) for name in names if name}


def missing(state: dict[str, str], known: set[str]) -> dict[str, set[str]]:
    """Return, by file, names that are used, and that only other states or the kit itself define.

    Args:
        known: all names that some state or the kit defines.
    """
    elsewhere = known - COMMON - set().union(*map(defined, state.values()))
    found = {path: used(code) & elsewhere for path, code in state.items()}
    return {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("self.later();", {"later"}),
        ("use super::later::Thing;", {"later", "Thing"}),
        ("if D::HAS_LATER {}", {"later"}),
        ("/// See [`Self::later`] and [`Thing`].\nfn f() {}", {"later", "Thing"}),
        ("// later() and Thing\nlet later = 1; bindings::later(); bindings::Thing", set()),
        ("fn later() {}\nstruct Thing;\nlater(Thing, self.later());", set()),
    ],
)
def test_a_name_of_a_later_patch_is_found(code: str, names: set[str]) -> None:
    assert missing({"a.rs": code}, {"later", "Thing"}) == ({"a.rs": names} if names else {})


@pytest.fixture
def states(linux: Path) -> list[State]:
    """The series of the kit, patch by patch."""
    kit = table.read_kit(KIT)
    made = Series(linux, KIT, kit, ("A", "a@b"))
    found = []
    for patch in kit.patches:
        made.add_kit(patch)
        found.append((patch.subject, {path: made.files[path] for path in made.rust}))
    return found


def test_no_patch_uses_what_a_later_one_adds(states: list[State]) -> None:
    placed = {name for patch in table.read_kit(KIT).patches for name in patch.files}
    known = set().union(*(defined((KIT / name).read_text()) for name in placed))
    assert len(known) > 300
    found = [
        f"{subject}: {path}: {names}" for subject, state in states for path, names in missing(state, known).items()
    ]
    assert not found, "\n".join(found)


def test_a_method_for_ethtool_comes_with_its_operation(states: list[State]) -> None:
    """No patch before the one that sets an operation of ethtool has the driver's method for it."""
    folder = "rust/kernel/net/netdev"
    asked = [{name.lower() for name in METHOD.findall(state.get(f"{folder}/ethtool.rs", ""))} for _, state in states]
    assert len(asked[-1]) > 5
    for (subject, state), known in zip(states, asked, strict=True):
        methods = re.findall(r"^    fn (\w+)", state.get(f"{folder}/driver.rs", ""), re.MULTILINE)
        assert not {*methods} & (asked[-1] - known), subject


def test_each_module_comes_with_its_file(states: list[State]) -> None:
    for subject, state in states:
        for path, code in state.items():
            for module in re.findall(r"^(?:pub )?mod (\w+);", code, re.MULTILINE):
                assert f"{path.removesuffix('.rs')}/{module}.rs" in state, f"{subject}: {path}: mod {module}"
        inner = [path for path in state if path.startswith(NESTED)]
        declared = re.findall(r"^mod (\w+);", "\n".join(state.values()), re.MULTILINE)
        assert sorted(Path(path).stem for path in inner) == sorted(declared), subject


def test_the_last_patch_leaves_the_files_whole(states: list[State], linux: Path) -> None:
    """Nothing that some patch adds is lost."""
    kit = table.read_kit(KIT)
    _, last = states[-1]
    for patch in kit.patches:
        for name, target in patch.files.items():
            omitted = {name.split()[-1] for name in kit.rules.omitted.get(name, [])}
            lost = defined((KIT / name).read_text()) - defined(last[target]) - omitted
            assert lost <= {"Nowhere"}, f"{target} has lost {lost}"


def test_an_item_comes_with_a_file_that_is_there(linux: Path) -> None:
    kit = table.read_kit(KIT)
    made = Series(linux, KIT, kit, ("A", "a@b"))
    first, second, *_ = kit.patches
    kit.patches[:] = [first, table.Patch(second.subject, "", second.maintainers, adds={"src/skb.rs": ["fn len"]})]
    with pytest.raises(UsageError, match=r"no patch before .* has src/skb\.rs"):
        made.add_kit(kit.patches[1])


def test_netdev_takes_the_series_at_once() -> None:
    """At most 15 patches, with the driver's (Documentation/process/maintainer-netdev.rst)."""
    assert len(table.read_kit(KIT).patches) + 1 <= 15
