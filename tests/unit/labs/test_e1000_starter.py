# SPDX-License-Identifier: MIT
"""Lab 4's starter and mutants fit the reference driver, so that a change of one is noticed in the others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from r4l import resources
from r4l.camp.labs.lab import Lab

LAB = Lab.named("e1000")
DRIVER = resources.rust("drivers/e1000")
MUTANTS = LAB.folder.parent / "mutants"
TABLE = tomllib.loads((MUTANTS / "e1000.toml").read_text())
GROUPS = ("excluded", "kit", "unobservable", "right")
ENTRIES: dict[str, dict[str, Any]] = {
    **{name: entry for name, entry in TABLE.items() if name not in GROUPS},
    **{f"{group}.{name}": entry for group in GROUPS for name, entry in TABLE[group].items()},
}
ALLOW = re.compile(r"^// For the places .*\n#!\[allow\(.*\)\]\n", re.MULTILINE)
BEYOND = {
    "//! * `recovery`, `wake`: errors of the bus; wake-on-LAN.\n": "//! * `wake`: wake-on-LAN.\n",
    "mod recovery;\n": "",
    """    const USES_PORTS: bool = true;

    const ERROR_HANDLERS: kit::pci::ErrorHandlers<Self> = kit::pci::ErrorHandlers::new();

""": "",
    """        let ports = kit::pci::Ports::new(bound.as_ref(), c"r4l_e1000").ok();
        hw.reset_by(ports.as_ref());
        // The network device requests them again.
        drop(ports);
""": "        hw.reset();\n",
}
"""Parts of the reference's main.rs that call functions which students' folders need not have, and the lab's own."""


def test_the_labs_main_is_the_references() -> None:
    assert not LAB.is_students(Path("main.rs"))
    reference = (DRIVER / "main.rs").read_text()
    for beyond, ours in BEYOND.items():
        assert reference.count(beyond) == 1
        reference = reference.replace(beyond, ours)
    assert ALLOW.sub("", (LAB.starter / "main.rs").read_text()) == reference


def test_what_is_open_names_a_checkpoint() -> None:
    ids = {point.id for point in LAB.checkpoints}
    marked = {
        name
        for file in LAB.starter.glob("*.rs")
        for names in re.findall(r"YOURS \(([^)]*)\)", file.read_text())
        for name in names.split(", ")
    }
    assert marked <= ids


@pytest.mark.parametrize("name", ENTRIES)
def test_each_edit_finds_its_place_once(name: str) -> None:
    base = resources.kit() if name.startswith("kit.") else DRIVER
    for edit in ENTRIES[name].get("edits", ()):
        assert (base / edit["file"]).read_text().count(edit["old"]) == 1
        assert name.startswith("kit.") or LAB.is_students(Path(edit["file"]))
    if "fails" in ENTRIES[name]:
        assert ENTRIES[name]["fails"] in {point.id for point in LAB.checkpoints}
        re.compile(ENTRIES[name]["says"])
    if "files" in ENTRIES[name]:
        assert any((MUTANTS / ENTRIES[name]["files"]).glob("*.rs"))


def test_both_handouts_have_the_same_code() -> None:
    code = [
        re.findall(r"```rust\n.*?```", (LAB.folder / name).read_text(), re.DOTALL)
        for name in ("handout.md", "handout.zh-CN.md")
    ]
    assert code[0] == code[1]
