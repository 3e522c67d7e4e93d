# SPDX-License-Identifier: MIT
"""Files and folders around a module's folder that its build is known to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.module.around import read_around


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module's folder beside a folder `common`, in a folder that its build sees."""
    top = tmp_path.resolve() / "top"
    for name in ("driver/Kbuild", "common/a.c", "common/ver.h", "common/rules", "common/Module.symvers", "ver.h"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.h").write_text("")
    return top / "driver"


def kbuild(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "Kbuild").write_text(f"obj-m := a.o\n{text}\n")


def inner(text: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub/Makefile").write_text(text)

    return write


WAYS: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "folder of headers": (kbuild("ccflags-y += -I$(src)/../common"), {"common"}),
    "source": (kbuild("a-y := ../common/a.o b.o"), {"common"}),
    "source of a folder below": (inner("x-y := ../../common/a.c"), {"common/a.c"}),
    "rule": (kbuild("$(obj)/made.h: $(src)/../ver.h"), {"ver.h"}),
    "makefile": (kbuild("include $(src)/../common/rules"), {"common/rules"}),
    "symbols": (kbuild("KBUILD_EXTRA_SYMBOLS := $(src)/../common/Module.symvers"), {"common/Module.symvers"}),
    "link to a file": (lambda folder: (folder / "l.h").symlink_to("../ver.h"), {"ver.h"}),
    "link to a folder": (lambda folder: (folder / "common").symlink_to("../common"), {"common"}),
    "link out of the view": (lambda folder: (folder / "l").symlink_to("../../elsewhere"), set()),
    "nothing there": (kbuild("ccflags-y += -I$(src)/../gone"), set()),
    "the folder itself": (kbuild("ccflags-y += -I$(src)/../driver/include"), set()),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_the_folder_names(folder: Path, tmp_path: Path, way: str) -> None:
    make, expected = WAYS[way]
    make(folder)
    found = {str(path.relative_to(folder.parent)) for path in read_around(folder, tmp_path / "record")}
    assert found == expected


def test_what_objects_were_made_from(folder: Path, tmp_path: Path) -> None:
    (folder / "l.h").symlink_to("../ver.h")
    named = {str(folder / "l.h"): None, str(folder.parent / "common/ver.h"): None, str(folder.parent / "gone.h"): None}
    (tmp_path / "record").write_text(json.dumps({"/copy/.a.o.cmd": [1, named]}))
    found = read_around(folder, tmp_path / "record")
    assert found == {folder.parent / "ver.h", folder.parent / "common/ver.h"}
