# SPDX-License-Identifier: MIT
"""Objects made from files outside of the module's folder, which make does not see changed by their times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.module.outside import OutsideSources

DEPENDENCIES = """\
savedcmd_{0} := gcc -c -o {0} m.c

source_{0} := m.c

deps_{0} := \\
  {1}
    $(wildcard include/config/SMP) \\
  /usr/include/x.h \\
  w.h \\

{0}: $(deps_{0})

$(deps_{0}):
"""
OLD = 1_000_000_000


class Built:
    """A work tree with a module, and a copy in which it was built."""

    def __init__(self, top: Path) -> None:
        self.folder, self.copy, self.header = top / "repo/mod", top / "copy", top / "repo/inc/v.h"
        for path in (self.folder / "m.c", self.folder / "w.h", self.header):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("one")
            os.utime(path, (OLD, OLD))
        self.outside = OutsideSources(self.folder, {self.folder: self.copy}, [top / "repo"], top / "record.json")
        self.compile("m.o", "../inc/v.h")
        self.outside.note(time.time_ns() + 10**9)

    def compile(self, name: str, header: str) -> None:
        """Have an object made as Kbuild makes it."""
        file = self.copy / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("made")
        file.with_name(f".{file.name}.cmd").write_text(DEPENDENCIES.format(name, header))

    def stays(self, name: str = "m.o") -> bool:
        """True if the next build leaves the object to make."""
        self.outside.forget_stale()
        file = self.copy / name
        assert file.exists() == file.with_name(f".{file.name}.cmd").exists()
        return file.exists()


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return Built(tmp_path.resolve())


def _same_time(header: Path) -> None:
    header.write_text("two")
    os.utime(header, (OLD, OLD))


def _older(header: Path) -> None:
    new = header.with_name("new")
    new.write_text("two")
    os.utime(new, (OLD - 1, OLD - 1))
    new.replace(header)


def _linked(header: Path) -> None:
    header.unlink()
    header.symlink_to("../mod/w.h")


CHANGES: dict[str, Callable[[Path], object]] = {
    "of the same time": _same_time,
    "older": _older,
    "gone": Path.unlink,
    "a link to another": _linked,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_header_outside(built: Built, change: str) -> None:
    """Regression: the module kept what the header had been."""
    assert built.stays()
    CHANGES[change](built.header)
    assert not built.stays()


def test_what_did_not_change_costs_nothing(built: Built) -> None:
    before = built.outside.record.stat()
    built.outside.note(time.time_ns())
    assert built.outside.record.stat() == before
    (built.folder / "w.h").write_text("two")
    assert built.stays(), "the copy of the folder tells make"


def test_a_link_in_the_folder(built: Built) -> None:
    (built.folder / "w.h").unlink()
    (built.folder / "w.h").symlink_to("../real.h")
    (built.folder / "../real.h").write_text("one")
    built.compile("m.o", "../inc/v.h")
    built.outside.note(time.time_ns() + 10**9)
    assert built.stays()
    _same_time(built.folder / "../real.h")
    assert not built.stays()


def test_an_object_that_nothing_is_noted_of(built: Built) -> None:
    """The build was killed after it."""
    built.compile("sub/new.o", "../../inc/v.h")
    built.compile("own.o", "m.c")
    assert not built.stays("sub/new.o")
    assert built.stays("own.o")
    assert built.stays("m.o")


def test_a_header_that_changes_while_the_build_runs(built: Built) -> None:
    begun = time.time_ns()
    built.compile("late.o", "../inc/v.h")
    _same_time(built.header)
    built.outside.note(begun)
    assert not built.stays("late.o")


def test_a_record_of_a_stranger(built: Built) -> None:
    built.compile("m.o", f"/etc/passwd \\\n  {'a' * 5000} \\\n  \x00\xff \\\n  ../../../../../etc/shadow")
    built.outside.note(time.time_ns() + 10**9)
    assert "etc" not in built.outside.record.read_text()
    (built.copy / ".x.o.cmd").symlink_to("/etc/passwd")
    assert built.stays()


def test_without_its_record_nothing_is_noted(built: Built) -> None:
    """Regression: an empty record was an internal error at each build."""
    built.outside.record.write_text("")
    assert not built.stays()


def test_a_folder_in_the_place_of_an_object(built: Built) -> None:
    (built.copy / "m.o").unlink()
    (built.copy / "m.o/in").mkdir(parents=True)
    _same_time(built.header)
    assert not built.stays()
