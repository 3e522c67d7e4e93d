# SPDX-License-Identifier: MIT
"""Messages of a folder's build name the user's files, and a failure is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.vm.plain_forms.folders import MINE, C, write

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.module import Module

pytestmark = pytest.mark.vm


def test_messages_name_the_users_files_by_their_whole_paths(kernel: Kernel, place: Path) -> None:
    write(place, {"Kbuild": "obj-m := x.o\nx-y := src/main.o\n", "src/main.c": C, "src/mine.h": "#error no\n"})
    with pytest.raises(BuildError, match=re.escape(f"{place}/src/mine.h:1:2: error: #error no")):
        Module(place).build(kernel)
    (place / "src/mine.h").write_text(MINE + "#warning so\n")
    warnings = Module(place).build(kernel).warnings
    assert f"{place}/src/mine.h:2:2: warning: #warning so" in warnings
    assert f"In file included from {place}/src/main.c:2:" in warnings


def test_messages_name_files_below_by_their_whole_paths(kernel: Kernel, place: Path) -> None:
    """Kbuild is called for a folder below, and compilers name files as seen from there."""
    write(
        place,
        {
            "Makefile": "all:\n\t$(MAKE) -C /lib/modules/$(shell uname -r)/build M=$(CURDIR)/src modules\n",
            "src/Kbuild": "obj-m := x.o\n",
            "src/x.c": C,
            "src/mine.h": "#error no\n",
            "x.c": "",
        },
    )
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(BuildError, match=re.escape(f"{place}/src/mine.h:1:2: error: #error no")):
            Module(place).build(kernel, say=said.append)
        assert any(line.startswith(f"In file included from {place}/src/x.c:2") for line in said)
    (place / "src/mine.h").write_text(MINE + "#warning so\n")
    assert f"{place}/src/mine.h:2:2: warning: #warning so" in Module(place).build(kernel).warnings
    assert f"{place}/src/mine.h:2:2: warning: #warning so" in Module(place).build(kernel).warnings


def test_a_makefile_that_ignores_failures(kernel: Kernel, place: Path) -> None:
    call = "\t-$(MAKE) -C /lib/modules/$(shell uname -r)/build M=$(CURDIR)/{} modules\n"
    write(
        place,
        {
            "Makefile": f"all:\n{call.format('a')}{call.format('b')}",
            "a/Kbuild": "obj-m := x.o\n",
            "a/x.c": C,
            "b/Kbuild": "obj-m := y.o\n",
            "b/y.c": C,
            "b/mine.h": MINE,
        },
    )
    assert [one.name for one in Module(place).build_all(kernel)] == ["y"]
    (place / "b/mine.h").write_text("#error no\n")
    with pytest.raises(BuildError, match=r"a/x\.c:2"):
        Module(place).build_all(kernel)
