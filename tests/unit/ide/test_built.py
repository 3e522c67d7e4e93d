# SPDX-License-Identifier: MIT
"""The objects of a module, found in what Kbuild leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r4l.ide.built import built
from r4l.ide.commands import CompileCommand, latest, planned, recorded


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


def test_an_object_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    """Regression: `r4l ide` ended with UnicodeDecodeError."""
    name = b"caf\xe9"
    (tmp_path / "modules.order").write_bytes(name + b".o\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/%s.mod" % name)).write_bytes(b"%s.o\n" % name)
    file = os.fsencode(tmp_path) + b"/.%s.o.cmd" % name
    Path(os.fsdecode(file)).write_bytes(b"savedcmd_%s.o := gcc -c -o %s.o %s.c\n" % (name, name, name))
    (command,) = built(tmp_path, tmp_path).values()
    assert command.source
    assert os.fsencode(command.source).endswith(b"/caf\xe9.c")


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_flag_with_half_a_pair_of_quotes(tmp_path: Path, quote: str) -> None:
    """Regression: `ccflags-y := -DX=it's` was a bug in r4l."""
    record(tmp_path, "a.o", f"gcc -DX=it{quote}s -c -o a.o a.c ; objtool a.o")
    (command,) = recorded(tmp_path)
    assert command.argv == ("gcc", f"-DX=it{quote}s", "-c", "-o", "a.o", "a.c")
    assert command.source == tmp_path / "a.c"


def test_a_planned_flag_with_half_a_pair_of_quotes(tmp_path: Path) -> None:
    printed = "gcc -c; scripts/basic/fixdep a.d b.o 'gcc -DX=it'\\''s -c -o b.o b.c' > .b.o.cmd\n"
    printed += "echo scripts/basic/fixdep a.d c.o 'gcc\n"
    found = latest(planned(printed, tmp_path))
    assert list(found) == ["b.o"]
    assert found["b.o"].argv == ("gcc", "-DX=it's", "-c", "-o", "b.o", "b.c")


def test_a_list_of_objects_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "modules.order")
    record(tmp_path, "a.o", "gcc -c -o a.o a.c")
    assert built(tmp_path, tmp_path) == {}
    assert CompileCommand(tmp_path, "a.o", "").source is None
