# SPDX-License-Identifier: MIT
"""Kbuild's records, which a hostile Makefile may write itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.module.kbuild_records import exported, modules_of


def test_the_order_of_the_modules(tmp_path: Path) -> None:
    assert modules_of(tmp_path) == []
    (tmp_path / "modules.order").write_text("b.o\na.o\n")
    assert modules_of(tmp_path) == [tmp_path / "b.ko", tmp_path / "a.ko"]


def test_a_record_that_is_no_text(tmp_path: Path) -> None:
    """Regression: the decoder's error was taken for a bug of r4l's own."""
    (tmp_path / "modules.order").write_bytes(b"a\xff.o\n")
    assert modules_of(tmp_path) == [tmp_path / "a\ufffd.ko"]
    (tmp_path / "Module.symvers").write_bytes(b"0x1\tf\xff\tit\tEXPORT_SYMBOL\n\xff\n")
    assert exported(tmp_path / "Module.symvers") == ["f\ufffd"]


def test_a_record_without_end(tmp_path: Path) -> None:
    """Regression: it was read into memory as a whole, up to the largest file that a build may write."""
    (tmp_path / "modules.order").touch()
    os.truncate(tmp_path / "modules.order", 1 << 40)
    with pytest.raises(BuildError, match=r"modules\.order is larger"):
        modules_of(tmp_path)


@pytest.mark.parametrize("name", ["a\0.o", ".", "/", "sub/../."])
def test_a_list_with_what_is_no_file(tmp_path: Path, name: str) -> None:
    """Regression: internal errors, as no path has a null character, and a folder no ending."""
    (tmp_path / "modules.order").write_text(f"a.o\n{name}\n")
    with pytest.raises(BuildError, match=r"modules\.order names .*, which is no file"):
        modules_of(tmp_path)
