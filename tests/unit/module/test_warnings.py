# SPDX-License-Identifier: MIT
"""Warnings of a successful build: read from make's output, and shown until their file is compiled again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from r4l.module.paths_in import entered
from r4l.module.warnings import found, keep

RUST = """warning: unused variable: `x`
  --> /w/mine/hello.rs:23:13
   |
23 |         let x = 1;
   |             ^ help: if this is intentional, prefix it with an underscore: `_x`
   |
   = note: `#[warn(unused_variables)]` on by default"""
GCC = """/w/mine/one.c: In function ‘init’:
/w/mine/one.c:9:13: warning: unused variable ‘x’ [-Wunused-variable]
    9 |         int x;
      |             ^"""
NOTED = """/w/mine/two.c:3:5: warning: ‘y’ defined but not used [-Wunused-variable]
    3 | int y;
      |     ^
/w/mine/two.c:1:5: note: declared here"""
HEADER = """In file included from /w/mine/two.c:1:
/w/mine/all.h:2:12: warning: ‘z’ defined but not used [-Wunused-variable]
    2 | static int z;
      |            ^"""
MODPOST = "WARNING: modpost: missing MODULE_DESCRIPTION() in two.o"
ALL = f"""$ make -C /k M=/w/mine modules
make: Entering directory '/k'
make[1]: Entering directory '/o'
  RUSTC [M] hello.o
{RUST}

warning: 1 warning emitted

  CC [M]  one.o
{GCC}
  CC [M]  two.o
{NOTED}
{HEADER}
  MODPOST Module.symvers
{MODPOST}
  CC [M]  two.mod.o
  LD [M]  two.ko
Skipping BTF generation for two.ko due to unavailability of vmlinux
make[1]: Leaving directory '/o'
"""
NOTHING = "$ make -C /k M=/w/mine modules\nmake: Entering directory '/k'\nmake: Leaving directory '/k'\n"


def test_what_is_a_warning() -> None:
    assert [one.text for one in found(ALL)] == [RUST, GCC, NOTED, HEADER, MODPOST]
    assert [one.objects[0] for one in found(ALL)] == ["hello.o", "one.o", "two.o", "two.o", "Module.symvers"]


def test_a_warning_is_shown_until_its_file_is_compiled_again(tmp_path: Path) -> None:
    output = tmp_path / "key"
    first = keep(output, ALL)
    assert first == "\n\n".join((RUST, GCC, NOTED, HEADER, MODPOST))
    assert keep(output, NOTHING) == first
    assert keep(output, f"$ make\n  CC [M]  one.o\n{GCC}\n  MODPOST Module.symvers\n{MODPOST}\n").count(GCC) == 1
    mended = keep(output, "$ make\n  CC [M]  one.o\n  MODPOST Module.symvers\n  LD [M]  two.ko\n")
    assert mended == "\n\n".join((RUST, NOTED, HEADER))
    assert keep(output, "$ make\n  RUSTC [M] hello.o\n  CC [M]  two.o\n") == ""
    assert keep(output, NOTHING) == ""


@pytest.mark.parametrize("there", ["not JSON", "[1]", '{"a": 1}', '[{"objects": 3}]'])
def test_what_somebody_else_left_there_is_no_warning(tmp_path: Path, there: str) -> None:
    (tmp_path / "key.warnings.json").write_text(there, encoding="utf-8")
    assert keep(tmp_path / "key", NOTHING) == ""


def test_a_crate_of_several_files_belongs_to_what_was_made(tmp_path: Path) -> None:
    inner = RUST.replace("hello.rs", "inner.rs")
    output = tmp_path / "key"
    keep(output, f"$ make\n  RUSTC [M] hello.o\n{inner}\n\n  CC [M]  hello.mod.o\n")
    assert keep(output, NOTHING) == inner
    assert keep(output, "$ make\n  RUSTC [M] hello.o\n") == ""


def test_errors_are_none() -> None:
    said = "  RUSTC [M] x.o\nerror[E0425]: cannot find value `y`\n --> x.rs:1:1\n\nerror: aborting; 1 warning emitted\n"
    assert found(said) == []


def _lines(form: str) -> str:
    return "".join(form.format(number=number) for number in range(20_000))


@pytest.mark.parametrize(
    "said",
    [
        _lines("  CC [M]  a{number}.o\n") + _lines("b{number}.c:1:2: warning: x\n"),
        _lines("  CC [M]  a{number}.o\n") + _lines("WARNING: modpost: a{number}.o\n"),
        _lines("  CC [M]  a{number}.o\n") + _lines("ld: warning: {number}\n"),
        _lines("In file included from a{number}.h:1,\n") * 10,
        "ld: warning: " + "a/" * 500_000 + "\n",
    ],
    ids=["of C", "of modpost", "of the linker", "includes", "a path"],
)
def test_output_without_end_takes_no_time(tmp_path: Path, said: str) -> None:
    """Regression: each warning was compared with each object, and 80 KiB took half a minute."""
    begun = time.monotonic()
    keep(tmp_path / "x", said)
    assert time.monotonic() - begun < 10
    record = tmp_path / "x.warnings.json"
    assert not record.exists() or record.stat().st_size < 32 << 20


def test_a_warning_of_modpost_is_of_the_object_that_it_names() -> None:
    said = "  LD [M]  sub/two.o\n  CC [M]  one.o\nWARNING: modpost: missing MODULE_LICENSE() in ../x/sub/two.o\n"
    [warned] = found(said)
    assert warned.objects == ("Module.symvers", "sub/two.o")


def test_few_of_the_folders_that_make_enters_are_looked_in() -> None:
    said = "".join(f"make: Entering directory '/x/{number}'\n" for number in range(5000))
    assert len(entered(said, Path("/x"))) == 100
