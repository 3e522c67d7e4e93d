# SPDX-License-Identifier: MIT
"""Make's outer pass: whether it has to be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l import resources
from r4l.module.calls import NOTES, KbuildCall, kbuild_calls
from r4l.module.outer import built_by, does_more, outer_pass

KDIR = "KDIR ?= /lib/modules/$(shell uname -r)/build\n"
CALL = "\t$(MAKE) -C $(KDIR) M=$(PWD)"
USUAL = {
    "CURDIR": f"obj-m := x.o\n{KDIR}all:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\nclean:\n\trm -f *.o\n",
    "PWD": f"{KDIR}PWD := $(shell pwd)\ndefault:\n\tmake -C $(KDIR) M=$(PWD)\n",
    "a shell's": "all:\n\t@make -C /lib/modules/`uname -r`/build M=`pwd` V=1 modules\n",
    "another shell's": KDIR + 'all:\n\t+${MAKE} --no-print-directory -C ${KDIR} M="$$(pwd)" modules\n',
    "two passes": f"ifneq ($(KERNELRELEASE),)\nobj-m := x.o\nelse\n{KDIR}all: modules\nmodules:\n"
    "\t$(MAKE) -C $(KDIR) M=$$PWD $@\nendif\n",
    "several targets": f"{KDIR}modules modules_install clean:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) $@\n",
    "a text": f"{KDIR}.PHONY: all\nall:\n\t@echo building\n\t$(MAKE) -C$(KDIR) M=$(PWD)/ ARCH=$(ARCH) -j4\n",
    "the kit": f"{KDIR}export R4L_KIT ?= $(shell python3 -c 'import r4l')\nall:\n{CALL}\n",
}
"""Outer passes that only call Kbuild for the folder."""
MORE = {
    "an exported option": f"{KDIR}export CONFIG_X = m\nall:\n{CALL}\n",
    "another folder": f"{KDIR}all:\n{CALL}/src\n",
    "PWD is another folder": f"{KDIR}PWD := $(CURDIR)/src\nall:\n{CALL}\n",
    "a flag": f"{KDIR}all:\n{CALL} CONFIG_X=m\n",
    "flags in a variable": f"{KDIR}all:\n{CALL} $(FLAGS)\n",
    "a header": f"{KDIR}all: gen.h\n{CALL}\ngen.h:\n\techo >gen.h\n",
    "a header by a pattern": f"{KDIR}all: gen.h\n{CALL}\n%.h: %.txt\n\tcp $< $@\n",
    "a command before": f"{KDIR}all:\n\t./configure\n{CALL}\n",
    "a text into a file": f"{KDIR}all:\n\techo x > gen.h\n{CALL}\n",
    "two commands": f"{KDIR}all:\n{CALL} && cp x.ko out/\n",
    "a script": f"X := $(shell ./configure)\n{KDIR}all:\n{CALL}\n",
    "a target's variable": f"{KDIR}all: CFLAGS += -DX\nall:\n{CALL}\n",
    "another goal first": f"{KDIR}tool: tool.c\n\tcc tool.c\nall: tool\n{CALL}\n",
    "symbols": f"{KDIR}all:\n{CALL} KBUILD_EXTRA_SYMBOLS=../a/Module.symvers\n",
}
"""Outer passes that do more, or may do."""


@pytest.mark.parametrize("name", USUAL)
def test_a_usual_outer_pass(tmp_path: Path, name: str) -> None:
    file = tmp_path / "Makefile"
    file.write_text(USUAL[name])
    assert outer_pass(tmp_path) == file
    assert not does_more(file)


def test_the_drivers_here_are_built_without_their_outer_pass() -> None:
    files = [*resources.rust("drivers").glob("*/Makefile"), *resources.labs().glob("*/starter/Makefile")]
    called = [file for file in files if outer_pass(file.parent)]
    assert len(called) > 8
    assert not [file for file in called if does_more(file)], "their builds would take longer"


@pytest.mark.parametrize("name", MORE)
def test_an_outer_pass_that_does_more(tmp_path: Path, name: str) -> None:
    file = tmp_path / "Makefile"
    file.write_text(MORE[name])
    assert outer_pass(tmp_path) == file
    assert does_more(file)


@pytest.mark.parametrize(
    "text", ["obj-m := x.o\n", "all:\n\t$(MAKE) -C tools\n", "# make -C KDIR M=$(PWD)\nobj-m := x.o\n", "all: M=1\n"]
)
def test_no_outer_pass(tmp_path: Path, text: str) -> None:
    assert outer_pass(tmp_path) is None
    (tmp_path / "Makefile").write_text(text)
    assert outer_pass(tmp_path) is None


def test_make_reads_a_gnumakefile_first(tmp_path: Path) -> None:
    for name in ("Makefile", "GNUmakefile"):
        (tmp_path / name).write_text(USUAL["PWD"])
    assert outer_pass(tmp_path) == tmp_path / "GNUmakefile"


def test_a_makefile_that_goes_to_a_modules_folder(tmp_path: Path) -> None:
    file = tmp_path / "Makefile"
    file.write_text("all:\n\t$(MAKE) -C src\n")
    assert built_by(tmp_path) is None
    (tmp_path / "src").mkdir()
    (tmp_path / "src/Makefile").write_text(USUAL["CURDIR"])
    assert built_by(tmp_path) == file
    file.write_text("all:\n\tcc a.c\n")
    assert built_by(tmp_path) is None


def test_notes_of_calls_are_read_with_care(tmp_path: Path) -> None:
    assert kbuild_calls(tmp_path) == []
    lines = ["kbuild\t0\t/a/../b\tmodules", "kbuild\t2\t/c\t", "kbuild\tx\t/c\t", "kbuild\t0\tc\t", "\t\t", "kbuild"]
    (tmp_path / NOTES).write_bytes("\n".join(lines).encode() + b"\n\xff\xfe")
    calls = kbuild_calls(tmp_path)
    assert calls == [KbuildCall(0, Path("/b"), ("modules",)), KbuildCall(2, Path("/c"), ())]
    assert all(call.makes_modules for call in calls)
    assert not KbuildCall(0, Path("/b"), ("clean",)).makes_modules
    (tmp_path / NOTES).unlink()
    (tmp_path / NOTES).symlink_to("/etc/passwd")
    assert kbuild_calls(tmp_path) == []
