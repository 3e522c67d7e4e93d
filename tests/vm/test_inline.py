# SPDX-License-Identifier: MIT
"""Drivers that say `r4l-inline := y` have the kernel's inline functions in themselves (rust/kit/inline.mk)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module

pytestmark = pytest.mark.vm
HELPERS = ("rust_helper_readl", "rust_helper_writel", "rust_helper_atomic_read", "rust_helper_dev_get_drvdata")


def undefined(module: BuiltModule) -> set[str]:
    """Return the names that a module asks the kernel for."""
    with module.path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] == "SHN_UNDEF"}


def test_helpers_are_no_calls(e1000: BuiltModule) -> None:
    assert undefined(e1000).isdisjoint(HELPERS)


@pytest.mark.thorough
def test_without_it_they_are(kernel: Kernel, tmp_path: Path) -> None:
    """The same driver, linked from its objects, asks the kernel for them."""
    folder = tmp_path / "called"
    shutil.copytree(resources.rust("drivers/e1000"), folder, ignore=shutil.ignore_patterns("tests"))
    kbuild = folder / "Kbuild"
    text = kbuild.read_text(encoding="utf-8")
    assert "r4l-inline := y\n" in text
    kbuild.write_text(text.replace("r4l-inline := y\n", ""), encoding="utf-8")
    assert undefined(Module(folder).build(kernel)) >= {"rust_helper_readl", "rust_helper_writel"}
