# SPDX-License-Identifier: MIT
"""Files that a killed make may have left incomplete are gone; complete ones stay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.kernel import unfinished
from r4l.limits import LimitExceeded

WHOLE = """savedcmd_{0} := gcc -o {0}

source_{0} := a.c

deps_{0} := \\
  a.h \\

{0}: $(deps_{0})

$(deps_{0}):
"""


class Killed(BaseException):
    """A signal that ends r4l."""


def make(folder: Path, name: str, record: str | None = WHOLE, *, before: bool = False) -> None:
    """Write a product and its record, as Kbuild does."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made")
    if record is not None:
        time.sleep(0.005)
        path.with_name(f".{path.name}.cmd").write_text(record.format(name))
    if before:
        time.sleep(0.05)


def there(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _be_killed(folder: Path, mark: Path) -> None:
    with unfinished.noted(mark):
        make(folder, "new.o")
        make(folder, "sub/new.ko", "savedcmd_{0} := ld -o {0}\n")
        (folder / "killed.o").write_text("")
        make(folder, "begun.o", None)
        make(folder, "cut.o", WHOLE[:-20])
        make(folder, "empty.o", "")
        make(folder, "generated.h", None)
        make(folder, "x.mod.c", None)
        raise Killed


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder after a run of make that was killed in the second compilation."""
    folder = tmp_path / "copy"
    for name in ("old.o", "killed.o", "sub/old.o"):
        make(folder, name, before=True)
    with pytest.raises(Killed):
        _be_killed(folder, tmp_path / "mark")
    return folder


STAY = {"old.o", ".old.o.cmd", "new.o", ".new.o.cmd", "sub/old.o", "sub/.old.o.cmd", "sub/new.ko", "sub/.new.ko.cmd"}


def test_after_a_killed_make_of_a_module(folder: Path, mark: Path) -> None:
    """Regression: an empty object was newer than its source, and the module was broken for good."""
    unfinished.forget(mark, [folder], all_made=True)
    assert there(folder) == STAY | {"x.mod.c"}
    assert not mark.exists()
    (folder / "killed.o").write_text("")
    unfinished.forget(mark, [folder], all_made=True)
    assert (folder / "killed.o").exists(), "only once"


def test_after_a_killed_make_of_a_kernel_what_has_no_record_stays(folder: Path, mark: Path) -> None:
    """Kbuild makes an object without a record again by itself."""
    unfinished.forget(mark, [folder], all_made=False)
    assert there(folder) == STAY | {"x.mod.c", "generated.h", "begun.o"}


def test_what_was_set_back_is_new(folder: Path, mark: Path) -> None:
    os.utime(folder / "generated.h", (1, 1))
    unfinished.forget(mark, [folder], all_made=True)
    assert not (folder / "generated.h").exists()


@pytest.mark.parametrize(
    ("error", "stays"), [(None, False), (BuildError("it failed", "mend it"), False), (LimitExceeded("x", "y"), True)]
)
def test_a_make_that_ended_by_itself_left_nothing(mark: Path, error: Exception | None, stays: bool) -> None:
    try:
        with unfinished.noted(mark):
            assert mark.exists()
            if error:
                raise error
    except BuildError:
        pass
    assert mark.exists() == stays


def test_a_hostile_record_stops_nothing(folder: Path, mark: Path, tmp_path: Path) -> None:
    (tmp_path / "user").write_text(WHOLE)
    tricks: dict[str, Callable[[Path], object]] = {
        "a.o": os.mkfifo,
        "b.o": lambda path: path.symlink_to(tmp_path / "user"),
        "c.o": Path.mkdir,
    }
    for name, put in tricks.items():
        make(folder, name, None)
        put(folder / f".{name}.cmd")
    unfinished.forget(mark, [folder], all_made=True)
    assert not {"a.o", "b.o", "c.o"} & there(folder)
    assert (tmp_path / "user").read_text() == WHOLE
