# SPDX-License-Identifier: MIT
"""Folders without a module, and compiler output explained."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.module import BuiltModule, Module
from r4l.module.diagnose import explain

RUSTC = """make: Entering directory '/kdir'
  RUSTC [M] hello.o
error[E0425]: cannot find value `x` in this scope
 --> hello.rs:9:5
  |
9 |     x
  |     ^ not found in this scope

error: aborting due to 1 previous error

make[3]: *** [scripts/Makefile.build:289: hello.o] Error 1
make: Leaving directory '/kdir'
"""


def test_rustc_error_is_the_cause_and_its_text_is_kept_as_rustc_shows_it() -> None:
    cause, text = explain(RUSTC)
    assert cause == "error[E0425]: cannot find value `x` in this scope"
    assert " --> hello.rs:9:5\n  |\n9 |     x\n" in text
    assert "make" not in text


def test_c_error_and_modpost() -> None:
    assert (
        explain("  CC [M] a.o\na.c:3:1: error: unknown type name 'in'\n")[0] == "a.c:3:1: error: unknown type name 'in'"
    )
    assert explain('ERROR: modpost: "x" [a.ko] undefined!\n')[0].startswith('ERROR: modpost: "x"')


def test_output_without_a_known_error_is_shown_whole() -> None:
    assert explain("something odd\n") == ("make failed", "something odd\n")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        Module(tmp_path / "missing").require_kbuild()


def test_no_kbuild(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all:\n\techo hi\n")
    with pytest.raises(UsageError, match="holds no module") as caught:
        Module(tmp_path).require_kbuild()
    assert "obj-m := NAME.o" in caught.value.remedy


def test_a_project_whose_makefiles_are_written_by_a_program(tmp_path: Path) -> None:
    (tmp_path / "Makefile.in").write_text("all: @X@\n")
    (tmp_path / "configure.ac").write_text("")
    with pytest.raises(UsageError) as caught:
        Module(tmp_path).require_kbuild()
    assert caught.value.remedy.startswith("configure.ac writes its Makefiles: run it for the KDIR")


@pytest.mark.parametrize(
    "text", ["obj-m := a.o\n", "obj-$(CONFIG_X) += a.o\n", "ifneq ($(KERNELRELEASE),)\n  obj-m += a.o\nendif\n"]
)
def test_a_makefile_with_objects_counts(tmp_path: Path, text: str) -> None:
    (tmp_path / "Makefile").write_text(text)
    assert Module(tmp_path).require_kbuild() == tmp_path / "Makefile"


def test_a_file_that_is_no_module(tmp_path: Path) -> None:
    for content in (b"", b"\x7fELF garbage", b"#!/bin/sh\n"):
        file = tmp_path / "x.ko"
        file.write_bytes(content)
        with pytest.raises(UsageError, match="is not a kernel module"):
            _ = BuiltModule(file).modinfo


@pytest.mark.parametrize("name", ["a b", "a:b", "hello(1)", "it's", "a#b", "a$b", "a;b", "a&b", 'a"b', "a\\b", "a[b]"])
def test_a_path_that_make_cannot_take(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    with pytest.raises(UsageError, match="in its path, which the kernel's Makefiles cannot handle"):
        Module(folder).require_kbuild()


def test_a_path_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb2\xe2"))
    folder.mkdir()
    with pytest.raises(UsageError) as caught:
        Module(folder).require_kbuild()
    caught.value.cause.encode()


def test_a_folder_of_another_alphabet_and_a_link_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "驱动"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := a.o\n")
    (tmp_path / "link").symlink_to(folder)
    assert Module(tmp_path / "link").require_kbuild() == folder / "Kbuild"
