# SPDX-License-Identifier: MIT
"""The tables of the kernel's API changes, Rust and C, agree with the ready kernels."""

from __future__ import annotations

import re

import pytest

from r4l.arch import architecture
from r4l.kernel import Kernel
from r4l.known import c_changes
from r4l.module import cdrift, headers
from r4l.module.drift import RustApiChange, changes


@pytest.mark.row("A12")
@pytest.mark.parametrize("change", changes(), ids=[change.proof[1][:30] for change in changes()])
def test_what_to_write_now_is_in_the_kernels_source(change: RustApiChange, kernel: Kernel) -> None:
    where, words = change.proof
    path = kernel.source / where
    files = sorted(path.rglob("*.rs")) if path.is_dir() else [path]
    assert any(words in file.read_text(errors="replace") for file in files), f"{words} is not in {where}"


@pytest.mark.row("A12")
def test_what_to_write_now_in_c_is_in_the_kernels_source(kernel: Kernel) -> None:
    entries = [change for kind in c_changes.CHANGE_KINDS for change in c_changes.table()[kind]]
    assert [change.id for change in entries if not change.place(kernel.source)] == []


MADE_BY_MACROS = {"folio_test_locked", "PageReserved", "input_abs_get_max", "__devexit_p", "CRYPTO_INTERNAL"}
"""Names in the table that no header has as a word, or that stand for what to drop."""


@pytest.mark.row("A12")
def test_what_to_write_now_names_functions_that_the_kernel_has(kernel: Kernel) -> None:
    index = headers.of(kernel.source, architecture(kernel.arch).kbuild, kernel.key)
    entries = [change for kind in c_changes.CHANGE_KINDS for change in c_changes.table()[kind] if kind != "makefile"]
    missing = set()
    for change in entries:
        for code in re.findall(r"`([^`]*)`", change.now):
            # A name behind a type is the module's own function, declared.
            called = re.findall(r"(?<![\w.>*])(?<!\w )(?<!\* )(?<!: )([A-Za-z_]\w+)\(", code)
            structs = re.findall(r"\bstruct (\w{4,})", code)
            constants = re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", code)
            missing |= {(name, change.id) for name in (*called, *structs, *constants) if not index.named(name)}
    known = _words_of_headers(kernel) | MADE_BY_MACROS if missing else set()
    assert {(name, entry) for name, entry in missing if name not in known} == set()


def _words_of_headers(kernel: Kernel) -> set[str]:
    folders = (kernel.source / "include", kernel.source / "arch" / architecture(kernel.arch).kbuild / "include")
    files = (file for folder in folders for file in folder.rglob("*.h"))
    return {word for file in files for word in re.findall(r"\w+", file.read_text(errors="replace"))}


@pytest.mark.row("A12")
def test_what_is_said_to_be_gone_is_gone(kernel: Kernel) -> None:
    """Checked in headers that a module can include; those for user space keep struct timespec.

    A struct may have the name of a function that is gone (`user_key_payload`), and a condition may hide a name.
    """
    index = headers.of(kernel.source, architecture(kernel.arch).kbuild, kernel.key)
    names = [name for change in c_changes.table()["name"] for name in change.old]
    found = [(name, place) for name in names if (place := index.named(name.split()[-1])) and "/uapi/" not in place.file]
    there = [place for name, place in found if index.is_tag(place) == (" " in name)]
    assert [str(place) for place in there if not cdrift.hides(index.conditions(place), kernel)] == []
    gone = [name for change in c_changes.table()["header"] for name in change.old]
    folders = (kernel.source / "include", kernel.source / "arch" / index.arch / "include")
    assert [name for name in gone if any((folder / name).exists() for folder in folders)] == []


@pytest.mark.row("A12")
def test_what_is_said_to_be_the_kernels_own_is_not_exported(kernel: Kernel) -> None:
    exported = {line.split("\t")[1] for line in (kernel.build / "Module.symvers").read_text().splitlines()}
    assert exported & {name for change in c_changes.table()["export"] for name in change.old} == set()
