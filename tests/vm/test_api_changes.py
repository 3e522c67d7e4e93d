# SPDX-License-Identifier: MIT
"""The tables of the kernel's API changes, Rust and C, agree with the ready kernels."""

from __future__ import annotations

import pytest

from r4l.arch import architecture
from r4l.kernel import Kernel
from r4l.known import c_changes
from r4l.module import headers
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


@pytest.mark.row("A12")
def test_what_is_said_to_be_gone_is_gone(kernel: Kernel) -> None:
    """Checked in headers that a module can include; those for user space keep struct timespec."""
    index = headers.of(kernel.source, architecture(kernel.arch).kbuild, kernel.key)
    names = [name for change in c_changes.table()["name"] for name in change.old]
    there = [found for name in names if (found := index.named(name.split()[-1]))]
    assert [str(found) for found in there if "/uapi/" not in found.file] == []
    gone = [name for change in c_changes.table()["header"] for name in change.old]
    folders = (kernel.source / "include", kernel.source / "arch" / index.arch / "include")
    assert [name for name in gone if any((folder / name).exists() for folder in folders)] == []


@pytest.mark.row("A12")
def test_what_is_said_to_be_the_kernels_own_is_not_exported(kernel: Kernel) -> None:
    exported = {line.split("\t")[1] for line in (kernel.build / "Module.symvers").read_text().splitlines()}
    assert exported & {name for change in c_changes.table()["export"] for name in change.old} == set()
