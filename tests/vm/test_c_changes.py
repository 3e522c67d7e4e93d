# SPDX-License-Identifier: MIT
"""Errors in C of another year, provoked in one run of the kernel's own make, and explained as for a user."""

from __future__ import annotations

import importlib
import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l.cli import build
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.known import c_changes
from r4l.module import Module
from r4l.module.diagnose import diagnose
from r4l.module.errors_in import errors_in

TESTS = Path(__file__).parents[1]
RECORD = runpy.run_path(str(TESTS / "fixtures/drift/record.py"))
CASES = runpy.run_path(str(TESTS / "unit/known/test_c_changes.py"))["cases"]


@pytest.mark.thorough
@pytest.mark.row("A12")
def test_each_case_is_explained_where_it_is_really_compiled(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("r4l.module.diagnose"), "MOST_ERRORS", 10_000)
    module: Module = RECORD["lay_out"](tmp_path)
    output = RECORD["gcc"](module, kernel)
    found: dict[str, set[str]] = {}
    for error in errors_in(output):
        first = next((change.id for change, _ in c_changes.recognise(error.text) if change.place(kernel.source)), "")
        found.setdefault(error.place.rpartition("/")[2], set()).add(first)
    missed = {place: found.get(place) for place, entry in CASES().items() if entry not in found.get(place, ())}
    assert missed == {}
    why = diagnose(output, tmp_path, kernel, lambda: ())
    assert {f"c: {entry}" for entry in CASES().values()} <= {told.name for told in why.explanations}
    guesses = {told.cause for told in why.explanations if told.name in ("c-guess", "c-include")}
    assert any("`timer_delete_synchronous`" in cause and "a guess" in cause for cause in guesses)
    assert any("`vfree` is declared in include/linux/vmalloc.h" in cause for cause in guesses)
    assert not any("own_helper_of_mine" in cause for cause in guesses)


OLD = """#include <linux/module.h>
#include <linux/timer.h>
static struct timer_list t;
static int __init start(void)
{
	del_timer(&t);
	del_timer(&t);
	strlcpy(NULL, NULL, 0);
	return 0;
}
module_init(start);
MODULE_LICENSE("GPL");
"""


@pytest.mark.row("A12")
def test_all_errors_of_a_build_are_answered_in_one_go(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "Kbuild").write_text("EXTRA_CFLAGS += -DOLD\nobj-m := old.o second.o third.o fourth.o\n")
    for name, header in (("second", "asm/unaligned.h"), ("third", "linux/genhd.h"), ("fourth", "linux/of_gpio.h")):
        (folder / f"{name}.c").write_text(f"#include <{header}>\n")
    (folder / "old.c").write_text(OLD)
    with pytest.raises(BuildError) as caught:
        Module(folder).build(kernel)
    error = caught.value
    told = {told.name: told for told in error.explanations}
    names = list(told)
    assert error.known == names[0]
    assert names[-1] == "c: makefile EXTRA_CFLAGS"
    headers = {"c: header asm/unaligned.h", "c: header linux/genhd.h", "c: header linux/of_gpio.h"}
    assert set(names[:-1]) == {"c: name del_timer", "c: name strlcpy", *headers}
    assert "`timer_delete(&timer)` (the kernel's include/linux/timer.h:" in told["c: name del_timer"].remedy
    lines = error.detail.splitlines()
    [about] = [number for number, line in enumerate(lines) if line.startswith("  why: ") and "`strlcpy`" in line]
    assert "strscpy(to, from, size)" in lines[about + 1]
    assert any("implicit declaration of function" in line and "strlcpy" in line for line in lines[about - 6 : about])
    assert f"{error.detail}{error.cause}".count("expected: `del_timer`") == 1
    assert [entry["known"] for entry in error.as_dict()["errors"]] == names


@pytest.mark.row("A12")
def test_flags_that_vanish_are_told_where_the_build_succeeds(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Makefile").write_text("obj-m := x.o\nEXTRA_CFLAGS += -DOLD\n")
    (tmp_path / "x.c").write_text('#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("x");\n')
    monkeypatch.setattr("r4l.cli.build.set_up", lambda *_rest, **_more: kernel)
    done = CliRunner().invoke(build.command, [str(tmp_path), "--json"])
    notes = {note["name"]: note for note in json.loads(done.stdout)["notes"]}
    note = notes["c: makefile EXTRA_CFLAGS"]
    assert "Makefile sets EXTRA_CFLAGS" in note["cause"]
    assert "`ccflags-y += …`" in note["remedy"]
