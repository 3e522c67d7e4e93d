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
MAY_BE_EMPTY = {
    *("hotplug", "extras", "rustc", "vermagic", "target_file", "no_stock", "back", "mappers"),
    *("config_readers", "config_writers", "arguments"),
    *("counter_option", "counter_words", "counter_frequency", "counter_code", "slow_words"),
}
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


UNIQUE = ("name", "uname", "debian", "gnu", "loader", "kbuild", "option", "built", "elf", "rustc", "busybox", "qemu")


def test_no_name_means_two() -> None:
    """A key that was left as it was in the file that was copied would work for the other architecture."""
    for kind in UNIQUE:
        values = [getattr(arch, kind) for arch in architectures().values()]
        assert len(set(values)) == len(values), kind
    for arch in architectures().values():
        assert all(architecture(name) == arch for name in (arch.name, arch.uname, arch.debian))
    with pytest.raises(UsageError, match="unknown architecture pdp11"):
        architecture("pdp11")


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield texts and names in a file's code with their lines, docstrings excluded."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in told:
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


NAMES = ("name", "uname", "debian", "gnu", "loader", "kbuild", "option", "qemu", "console", "elf", "counter_option")
FACTS_APART = {
    "kernel/images.py": "formats of files, recognised by their content",
    "kernel/pvh.py": "a format of files, recognised by its content",
    "toolchain/filtered.py": "a filter of the toolchain's programs, which imports nothing of r4l",
}
"""Files with a fact of one architecture that is not one of the guest's; each gives the reason in its docstring."""


def own_words() -> re.Pattern[str]:
    """A pattern for the words of which each belongs to one architecture, also as parts of a name."""
    found = {getattr(arch, kind) for arch in architectures().values() for kind in NAMES}
    for arch in architectures().values():
        found |= {
            *arch.mappers,
            *arch.config_readers,
            *arch.config_writers,
            *arch.counter_words,
            *arch.slow_words,
            arch.counter_frequency.partition("=")[0],
        }
        found |= {Path(arch.built).name} - {"Image"}
    words = "|".join(re.escape(word) for word in sorted(found) if word)
    alone = {name for arch in architectures().values() for name in (*arch.registers, arch.machine.partition(",")[0])}
    return re.compile(
        rf"(?<![a-z0-9])(?:{words}|tsc|rdtsc)(?![a-z0-9])|(?-i:^(?:{'|'.join(sorted(alone))})$)", re.IGNORECASE
    )


def test_python_has_no_fact_of_an_architecture_but_the_default() -> None:
    pattern = own_words()
    found = {
        f"{file.relative_to(PACKAGE)}:{line}: {text}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, text in texts(file)
        if pattern.search(text)
    }
    default = {entry for entry in found if entry.startswith("arch/__init__.py:") and entry.endswith(f": {DEFAULT}")}
    assert len(default) == 1
    moved = {entry for entry in found if entry.startswith("moved.py:") and ": r4l." in entry}
    apart = {entry for entry in found if entry.startswith(tuple(FACTS_APART))}
    assert {entry.partition(":")[0] for entry in apart} == set(FACTS_APART), "an exception that nothing needs"
    assert found == default | moved | apart


@pytest.mark.parametrize("name", FACTS_APART)
def test_a_file_gives_the_reason_for_its_facts(name: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))) or ""
    assert "`arch/`" in docstring


@pytest.mark.parametrize(
    ("text", "is_fact"),
    [
        ("rip", True),
        ("a trip", False),
        ("virt", True),
        ("virtio", False),
        ("AUDIT_ARCH_X86_64", True),
        ("tsc_early_khz=5", True),
        ("TSCTC", False),
        ("bzImage", True),
        ("Image", False),
        ("CONFIG_X86_TSC", True),
        ("__ioremap_caller", True),
        ("qemu-system-aarch64", True),
    ],
)
def test_facts_are_found(text: str, is_fact: bool) -> None:
    assert bool(own_words().search(text)) is is_fact


@each
def test_the_debuggers_registers(arch: Architecture) -> None:
    named = {arch.instruction, arch.stack, arch.first_argument, arch.result, arch.back or arch.stack}
    assert named <= set(arch.registers)
    assert len(set(arch.registers)) == len(arch.registers)


@each
def test_the_clock_is_told_whole_or_not(arch: Architecture) -> None:
    told = {bool(value) for name, value in vars(arch).items() if name.startswith("counter_")}
    assert len(told) == 1
    assert ("{khz}" in arch.counter_frequency) is bool(arch.counter_option)
    assert bytes.fromhex(arch.counter_code) or not arch.counter_option
