# SPDX-License-Identifier: MIT
"""Recognition of a module's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module import kbuild_of


@pytest.mark.parametrize(
    "line",
    [
        "obj-m := a.o",
        "obj-$(CONFIG_A) += a.o",
        "  obj-m += a.o b.o",
        "export obj-m += a.o",
        "obj-$(CONFIG_A:y=m) := a.o",
        "obj-m \\\n := a.o",
    ],
)
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


@pytest.mark.parametrize("way", ["flags.mk", "$(PWD)/flags.mk", "$(src)/flags.mk", "${CURDIR}/flags.mk", "./flags.mk"])
def test_objects_in_a_file_that_is_included(tmp_path: Path, way: str) -> None:
    (tmp_path / "Makefile").write_text(f"-include other.mk {way}\n")
    assert kbuild_of(tmp_path) is None
    (tmp_path / "flags.mk").write_text("include Makefile\nobj-m := a.o\n")
    assert kbuild_of(tmp_path) == tmp_path / "Makefile"


def test_a_file_elsewhere_is_not_looked_into(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "flags.mk").write_text("obj-m := a.o\n")
    (folder / "Makefile").write_text("include ../flags.mk\n")
    assert kbuild_of(folder) is None
