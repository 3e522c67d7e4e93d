# SPDX-License-Identifier: MIT
"""The objects of a module, found in what Kbuild leaves behind."""

from __future__ import annotations

from pathlib import Path

from r4l.ide.built import built


def record(output: Path, target: str, command: str) -> None:
    """Write the command of an object as Kbuild does."""
    file = output / target
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name(f".{file.name}.cmd").write_text(f"savedcmd_{target} := {command}\n")


def test_objects_in_modules_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "modules.order").write_text("nic.o\n")
    (tmp_path / "nic.mod").write_text("main.o\nc/part.o\n")
    record(tmp_path, "main.o", "rustc --emit=metadata=main.rmeta main.rs")
    record(tmp_path, "c/part.o", "gcc -c -o c/part.o c/part.c")
    record(tmp_path, "stale.o", "gcc -c -o stale.o stale.c")
    record(tmp_path, "nic.mod.o", "gcc -c -o nic.mod.o nic.mod.c")
    assert built(tmp_path, tmp_path).keys() == {"main.o", "c/part.o"}


def test_objects_that_were_linked_as_bitcode(tmp_path: Path) -> None:
    """`r4l-inline := y`: the module has one object, linked from the bitcode of the others (rust/kit/inline.mk)."""
    (tmp_path / "modules.order").write_text("nic.o\n")
    (tmp_path / "nic.mod").write_text("c/part.o\nr4l/nic.linked.o\n")
    link = "llvm-link-19 -o r4l/nic.linked.o.rust.bc ./main.bc sub/more.bc r4l/kit.bc; clang-19 -c x.opt.bc -o x.o"
    record(tmp_path, "r4l/nic.linked.o", link)
    for target in ("main.o", "sub/more.o", "r4l/kit.o", "c/part.o", "stale.o"):
        record(tmp_path, target, "rustc x.rs")
    assert built(tmp_path, tmp_path).keys() == {"r4l/nic.linked.o", "main.o", "sub/more.o", "r4l/kit.o", "c/part.o"}
