# SPDX-License-Identifier: MIT
"""The architectures: each file is complete, and no other file names one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from elftools.elf.enums import ENUM_E_MACHINE

import r4l
from r4l import resources, tables, toolchain
from r4l.arch import DEFAULT, SHAPE, Architecture, architecture, architectures
from r4l.errors import UsageError
from r4l.selftest import parts
from r4l.vm.machine import Accel

PACKAGE = Path(r4l.__file__).parent
ROOT = Path(__file__).parents[3]
MAY_BE_EMPTY = {"hotplug", "extras", "rustc", "vermagic", "target_file", "no_stock"}
each = pytest.mark.parametrize("arch", architectures().values(), ids=lambda arch: arch.name)


def test_the_default_comes_first() -> None:
    assert next(iter(architectures())) == DEFAULT
    assert set(architectures()) == {file.stem for file in (PACKAGE / "arch").glob("*.toml")}


@each
def test_a_file_says_all(arch: Architecture) -> None:
    empty = {name for name, value in vars(arch).items() if not value} - MAY_BE_EMPTY
    assert not empty
    assert arch.option.startswith("CONFIG_")
    assert arch.hotplug == "" or arch.hotplug.startswith("CONFIG_")
    assert arch.direct in ("pvh", "image")
    assert arch.elf in ENUM_E_MACHINE
    assert set(arch.cpu) == set(get_args(Accel))
    assert set(arch.extras) <= set(toolchain.table()["extras"])


@each
def test_agent_and_profiles_know_it(arch: Architecture) -> None:
    targets = [option.removeprefix("--target=") for option in arch.rustc if option.startswith("--target=")]
    target = (targets or [arch.uname])[0]
    calls = ROOT / "rust/agent/src/sys.rs"
    known = re.findall(r'target_arch = "(\w+)"', calls.read_text(encoding="utf-8"))
    assert any(target.startswith(name) for name in known), f"{calls} has no system calls of {target}"
    profile = PACKAGE / f"kernel/profiles/minimal.{arch.name}.config"
    assert profile.is_file(), f"{profile} is missing"


@each
def test_a_part_of_the_tests_runs_on_it(arch: Architecture) -> None:
    pairs = [pair for part in parts.table(ROOT).values() for pair in pairwise(part.pytest)]
    named = arch.name == DEFAULT or ("--arch", arch.name) in pairs
    assert named, f"tests/parts.toml has no part with --arch {arch.name}"


@each
def test_a_key_more_or_less_is_refused(arch: Architecture) -> None:
    whole = resources.table("r4l.arch", f"{arch.name}.toml", {"*": object})
    for key in whole:
        with pytest.raises(ValueError, match=f"x\\.toml: the table lacks {key}$"):
            tables.check({name: value for name, value in whole.items() if name != key}, SHAPE, "x.toml")
    with pytest.raises(ValueError, match="there is no key colour;"):
        tables.check({**whole, "colour": "red"}, SHAPE, "x.toml")


def test_no_name_means_two() -> None:
    for kind in ("name", "uname", "debian", "gnu", "kbuild", "option"):
        values = [getattr(arch, kind) for arch in architectures().values()]
        assert len(set(values)) == len(values), kind
    for arch in architectures().values():
        assert all(architecture(name) == arch for name in (arch.name, arch.uname, arch.debian))
    with pytest.raises(UsageError, match="unknown architecture pdp11"):
        architecture("pdp11")


def words(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts in a file's code with their lines, docstrings excluded."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def test_python_names_no_architecture_but_the_default() -> None:
    kinds = ("name", "uname", "debian", "gnu", "kbuild", "option", "qemu", "console")
    names = {getattr(arch, kind) for arch in architectures().values() for kind in kinds}
    pattern = re.compile(rf"(?<![a-z0-9_])(?:{'|'.join(map(re.escape, sorted(names)))})(?![a-z0-9_])", re.IGNORECASE)
    found = {
        f"{file.relative_to(PACKAGE)}:{line}: {text}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, text in words(file)
        if pattern.search(text)
    }
    here = {entry for entry in found if entry.startswith("arch/__init__.py:") and entry.endswith(f": {DEFAULT}")}
    assert len(here) == 1
    assert found == here
