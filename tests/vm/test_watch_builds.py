# SPDX-License-Identifier: MIT
"""Builds of `r4l watch` that are taken for up to date, and are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from r4l.kernel import Kernel
from r4l.module import Module, unchanged
from r4l.watch.job import Job, JobResult, _build

pytestmark = pytest.mark.vm

DRIVER = """\
#include <linux/module.h>
{}
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION(GREETING);
"""
HEADER = '#define GREETING "{}"\n'
FLAG = "ccflags-y += -DGREETING='\"$(GREETING)\"'\n"
WAYS: dict[str, dict[str, str]] = {
    "a header": {
        "drv/Kbuild": "obj-m := mine.o\nccflags-y += -I$(src)/../common\n",
        "drv/mine.c": DRIVER.format("#include <ver.h>"),
        "common/ver.h": HEADER,
    },
    "a file that the shell reads": {
        "drv/Kbuild": f"obj-m := mine.o\nGREETING := $(shell cat $(src)/../VERSION)\n{FLAG}",
        "drv/mine.c": DRIVER.format(""),
        "VERSION": "{}\n",
    },
    "a hidden file": {
        "drv/Kbuild": f"obj-m := mine.o\nGREETING := $(shell cat $(src)/.version)\n{FLAG}",
        "drv/mine.c": DRIVER.format(""),
        "drv/.version": "{}\n",
    },
    "a makefile": {
        "drv/Kbuild": f"obj-m := mine.o\ninclude $(src)/../common/version.inc\n{FLAG}",
        "drv/mine.c": DRIVER.format(""),
        "common/version.inc": "GREETING := {}\n",
    },
    "a source": {
        "drv/Kbuild": "obj-m := mine.o\nmine-y := main.o ../common/text.o\n",
        "drv/main.c": DRIVER.format('#define GREETING "mine"'),
        "common/text.c": 'const char *mine_greets(void);\nconst char *mine_greets(void)\n{{\n\treturn "{}";\n}}\n',
    },
    "a link to a file": {
        "drv/Kbuild": "obj-m := mine.o\n",
        "drv/mine.c": DRIVER.format('#include "ver.h"'),
        "drv/ver.h": "-> ../common/ver.h",
        "common/ver.h": HEADER,
    },
    "a link to a folder": {
        "drv/Kbuild": "obj-m := mine.o\n",
        "drv/mine.c": DRIVER.format('#include "common/ver.h"'),
        "drv/common": "-> ../common",
        "common/ver.h": HEADER,
    },
}


def write(top: Path, files: Mapping[str, str]) -> None:
    """Write files in a folder; the text `-> PATH` makes a link."""
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            (top / name).symlink_to(text.removeprefix("-> "))
        else:
            (top / name).write_text(text)


def build(job: Job) -> tuple[JobResult, bytes]:
    """Build the module as the next run of a watch does; return its outcome and the module."""
    outcome = JobResult()
    unchanged._known.clear()
    if job.known:
        unchanged.remember(job.known)
    [module] = _build(job, job.kernel, outcome)
    return outcome, module.path.read_bytes()


@pytest.mark.parametrize(
    "way", [way if way.endswith(("header", "reads")) else pytest.param(way, marks=pytest.mark.thorough) for way in WAYS]
)
def test_a_file_that_the_build_reads_changes(kernel: Kernel, tmp_path: Path, way: str) -> None:
    """Regression: the run after that recalled the module of the one before, and judged it."""
    changed = next(name for name, text in WAYS[way].items() if "{}" in text and not text.startswith("#include <linux/"))
    write(tmp_path, {name: text.format("first") if name == changed else text for name, text in WAYS[way].items()})
    folder = (tmp_path / "drv").resolve()
    job = Job(folder, kernel, (), True, folder)
    outcome, module = build(job)
    assert b"first" in module
    write(tmp_path, {changed: WAYS[way][changed].format("second")})
    around = {path for path in outcome.around if (tmp_path / changed).resolve().is_relative_to(path)}
    assert bool(around) is (not changed.startswith("drv/"))
    outcome, module = build(Job(folder, kernel, (), True, folder, known=outcome.known))
    assert b"second" in module
    assert build(Job(folder, kernel, (), True, folder, known=outcome.known))[1] == module


def test_a_build_that_is_recalled(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {name: text.format("first") for name, text in WAYS["a link to a file"].items()})
    folder = (tmp_path / "drv").resolve()
    outcome, module = build(Job(folder, kernel, (), True, folder))
    (tmp_path / "drv/test_mine.py").write_text("")
    monkeypatch.setattr("r4l.module.MakeRuns", None)
    assert build(Job(folder, kernel, (), True, folder, known=outcome.known))[1] == module


def test_a_folder_with_more_files_around_than_are_looked_at(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the run, in which each test asks for the module, its folder has to be the same."""
    write(tmp_path, {name: text.format("first") for name, text in WAYS["a header"].items()})
    folder = (tmp_path / "drv").resolve()
    monkeypatch.setattr(unchanged.stamp, "__defaults__", (2,))
    outcome, _ = build(Job(folder, kernel, (), True, folder))
    assert outcome.known is None, "the next run asks make"
    monkeypatch.setattr("r4l.module.MakeRuns", None)
    assert Module(folder).build(kernel)


LIBRARY = """\
#include <linux/module.h>
int lib_answer(int);
int lib_answer(int x)
{
	return x;
}
EXPORT_SYMBOL_GPL(lib_answer);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("lib");
"""


@pytest.mark.thorough
def test_symbols_of_a_module_beside_that_is_built_again(kernel: Kernel, tmp_path: Path) -> None:
    """The symbols are in r4l's own build of that folder, where no file of the user's changes."""
    kbuild = "obj-m := mine.o\nKBUILD_EXTRA_SYMBOLS := $(src)/../lib/Module.symvers\n"
    driver = "int lib_answer(int);\nstatic int __init begin(void)\n{\n\treturn lib_answer(0);\n}\nmodule_init(begin);\n"
    write(tmp_path, {"lib/Kbuild": "obj-m := lib.o\n", "lib/lib.c": LIBRARY, "drv/Kbuild": kbuild})
    write(tmp_path, {"drv/mine.c": DRIVER.format('#define GREETING "mine"') + driver})
    Module(tmp_path / "lib").build(kernel)
    folder = (tmp_path / "drv").resolve()
    outcome, _ = build(Job(folder, kernel, (), True, folder))
    assert outcome.known is None, "make is asked in each run"
