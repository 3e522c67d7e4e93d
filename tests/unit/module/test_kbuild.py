# SPDX-License-Identifier: MIT
"""Which folders are a module's."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module import kbuild_of


@pytest.mark.parametrize("line", ["obj-m := a.o", "obj-$(CONFIG_A) += a.o", "  obj-m += a.o b.o"])
def test_a_makefile_with_objects(tmp_path: Path, line: str) -> None:
    (tmp_path / "Makefile").write_text(f"# a driver\n{line}\n")
    assert kbuild_of(tmp_path) == tmp_path / "Makefile"


def test_a_kbuild_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("obj-m := a.o\n")
    (tmp_path / "Kbuild").write_text("include $(R4L_KIT)/kit.mk\n")
    assert kbuild_of(tmp_path) == tmp_path / "Kbuild"


def test_a_makefile_of_something_else(tmp_path: Path) -> None:
    assert kbuild_of(tmp_path) is None
    (tmp_path / "Makefile").write_text("all:\n\tcc a.c\n")
    assert kbuild_of(tmp_path) is None
