# SPDX-License-Identifier: MIT
"""A folder that plain make builds is built by r4l: the ways in which public Makefiles name their own files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from r4l import home
from r4l.errors import BuildError, EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.toolchain import Grant, Toolchain
from r4l.vm import VM

pytestmark = pytest.mark.vm

C = """\
#include <linux/module.h>
#include "mine.h"
MODULE_DESCRIPTION(MINE);
MODULE_LICENSE("GPL");
"""
OTHER = "int other(void);\nint other(void) { return 1; }\n"
MINE = '#define MINE "mine"\n'
VERSIONED = C.replace("(MINE)", "(VER)").replace('#include "mine.h"\n', "")

FORMS: dict[str, dict[str, str]] = {
    "PWD": {"Makefile": "obj-m := x.o\nccflags-y += -I$(PWD)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "src": {"Makefile": "obj-m := x.o\nccflags-y += -I$(src)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "obj": {"Makefile": "obj-m := x.o\nccflags-y += -I$(obj)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "M": {"Makefile": "obj-m := x.o\nccflags-y += -I$(M)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "CURDIR": {"Makefile": "obj-m := x.o\nccflags-y += -I$(CURDIR)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "relative": {"Makefile": "obj-m := x.o\nccflags-y += -Iinc\n", "x.c": C, "inc/mine.h": MINE},
    "shell pwd": {
        "Makefile": "HERE := $(shell pwd)\nobj-m := x.o\nccflags-y += -I$(HERE)/inc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "its own place": {
        "Makefile": "HERE := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))\n"
        "obj-m := x.o\nccflags-y += -I$(HERE)inc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "include": {
        "Makefile": "include $(PWD)/flags.mk\n",
        "flags.mk": "obj-m := x.o\nccflags-y += -Iinc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "wildcard": {
        "Makefile": "obj-m := w.o\nw-y := $(patsubst %.c,%.o,$(wildcard *.c))\n",
        "x.c": C,
        "y.c": OTHER,
        "mine.h": MINE,
    },
    "wildcard in src": {
        "Makefile": "obj-m := w.o\nw-y := $(patsubst $(src)/%.c,%.o,$(wildcard $(src)/c/*.c))\n",
        "c/x.c": C,
        "c/y.c": OTHER,
        "c/mine.h": MINE,
    },
    "cat": {
        "Makefile": 'obj-m := x.o\nccflags-y += -DVER=\\"$(shell cat $(PWD)/VERSION)\\"\n',
        "VERSION": "mine\n",
        "x.c": VERSIONED,
    },
    "script": {
        "Makefile": 'obj-m := x.o\nccflags-y += -DVER=\\"$(shell ./version.sh)\\"\n',
        "version.sh": "#!/bin/sh\necho mine\n",
        "x.c": VERSIONED,
    },
    "folders of the parts": {
        "Kbuild": "obj-m := x.o\nx-y := src/main.o c/other.o\n",
        "src/main.c": C.replace('"mine.h"', '"../inc/mine.h"'),
        "c/other.c": OTHER,
        "inc/mine.h": MINE,
    },
    "a folder below": {
        "Makefile": "obj-y += sub/\nsubdir-ccflags-y := -I$(src)/inc\n",
        "sub/Makefile": "obj-m := x.o\n",
        "sub/x.c": C,
        "inc/mine.h": MINE,
    },
    "generated header": {
        "Makefile": "obj-m := x.o\n$(obj)/x.o: $(obj)/mine.h\n$(obj)/mine.h: $(src)/mine.txt\n"
        "\tsed 's/^/#define MINE /' $< >$@\nclean-files := mine.h\n",
        "mine.txt": '"mine"\n',
        "x.c": C,
    },
    "host program": {
        "Makefile": "obj-m := x.o\nhostprogs := gen\nalways-y := gen\n$(obj)/x.o: $(obj)/mine.h\n"
        "quiet_cmd_gen = GEN     $@\ncmd_gen = $(obj)/gen >$@\ntargets += mine.h\n"
        "$(obj)/mine.h: $(obj)/gen FORCE\n\t$(call if_changed,gen)\n",
        "gen.c": '#include <stdio.h>\nint main(void) { puts("#define MINE \\"mine\\""); return 0; }\n',
        "x.c": C,
    },
    "Makefile and Kbuild": {
        "Makefile": "KDIR := /lib/modules/$(shell uname -r)/build\nobj-m := missing.o\n"
        "all:\n\t$(MAKE) -C $(KDIR) M=$(PWD) modules\nclean:\n\t$(MAKE) -C $(KDIR) M=$(PWD) clean\n",
        "Kbuild": "obj-m := x.o\n",
        "x.c": C,
        "mine.h": MINE,
    },
    "both in one": {
        "Makefile": "ifneq ($(KERNELRELEASE),)\nobj-m := x.o\nx-objs := main.o\nelse\n"
        "KDIR := /lib/modules/$(shell uname -r)/build\nPWD := $(shell pwd)\n"
        "all:\n\t$(MAKE) -C $(KDIR) M=$(PWD) modules\nendif\n",
        "main.c": C,
        "mine.h": MINE,
    },
    "beside": {
        "Makefile": "obj-m := x.o\nccflags-y += -I$(src)/../common\n",
        "x.c": C,
        "../common/mine.h": MINE,
    },
    "a link to beside": {"Makefile": "obj-m := x.o\n", "x.c": "-> ../common/x.c", "mine.h": MINE, "../common/x.c": C},
    "objects beside": {
        "Makefile": "obj-m := x.o\nx-y := main.o ../common/other.o ../top.o\nccflags-y += -I$(src)/../common/include\n",
        "main.c": C,
        "../common/other.c": OTHER,
        "../common/include/mine.h": MINE,
        "../top.c": OTHER.replace("other", "top"),
        "../unused/x.c": OTHER,
    },
    "a linked folder": {
        "Makefile": "obj-m := x.o\nx-y := main.o shared/other.o\n",
        "shared": "-> ../common",
        "main.c": C,
        "mine.h": MINE,
        "../common/other.c": OTHER,
    },
    "of the kernel": {
        "Makefile": "obj-m := x.o\nccflags-y += -I$(srctree)/include/linux -DMINE='\"mine\"'\n",
        "x.c": C.replace("mine.h", "stringify.h"),
    },
    "foreach": {
        "Makefile": "$(foreach name,x,$(eval obj-m += $(name).o)$(eval $(name)-y := $(name)-main.o))\n",
        "x-main.c": C,
        "mine.h": MINE,
    },
    "a define": {
        "Makefile": "define add\nobj-m += $(1).o\n$(1)-y := $(1)-main.o\nendef\n$(eval $(call add,x))\n",
        "x-main.c": C,
        "mine.h": MINE,
    },
    "exported variables": {
        "Makefile": "export HERE := $(shell pwd)/inc\nexport CONFIG_X := m\nobj-$(CONFIG_X) += sub/\n",
        "sub/Makefile": "obj-$(CONFIG_X) := x.o\nccflags-y += -I$(HERE)\n",
        "sub/x.c": C,
        "inc/mine.h": MINE,
    },
    "lines of Windows": {
        "Makefile": "obj-m := x.o\r\nx-y := main.o\r\nccflags-y += -Iinc\r\n",
        "main.c": C.replace("\n", "\r\n"),
        "inc/mine.h": MINE,
    },
    "symbols of another": {
        "Makefile": "obj-m := x.o\nKBUILD_EXTRA_SYMBOLS := $(src)/other/Module.symvers\n",
        "x.c": C + "int of_other(void);\nint call(void);\nint call(void) { return of_other(); }\n",
        "mine.h": MINE,
        "other/Module.symvers": "0x00000000\tof_other\tother\tEXPORT_SYMBOL\t\n",
    },
    "two levels up": {
        "Makefile": "TOP := $(src)/../..\nobj-m := x.o\nx-y := main.o ../../lib/other.o\ninclude $(TOP)/flags.mk\n",
        "main.c": C,
        "../../flags.mk": "ccflags-y += -I$(TOP)/inc\n",
        "../../inc/mine.h": MINE,
        "../../lib/other.c": OTHER,
        "../../.git/HEAD": "ref: refs/heads/main\n",
    },
    "rules around the folder": {
        "Makefile": "TOP := $(abspath $(src)/..)\ninclude $(TOP)/rules.mk\n",
        "main.c": C,
        "../rules.mk": "obj-m := x.o\nx-y := main.o ../common/other.o\nccflags-y += -I$(TOP)/inc\n",
        "../common/other.c": OTHER,
        "../inc/mine.h": MINE,
    },
    "a header two levels up": {
        "Makefile": "obj-m := x.o\n",
        "x.c": C.replace("mine.h", "../../inc/mine.h"),
        "../../inc/mine.h": MINE,
        "../../.git/HEAD": "ref: refs/heads/main\n",
    },
    "odd letters": {"Makefile": "obj-m := x-1.o\nccflags-y += -I$(PWD)/头\n", "x-1.c": C, "头/mine.h": MINE},
}
"""Files of a folder by name: each form is a module whose description is `mine`, which it gets in that way."""
STAND_FOR = {"@module": C, "@mine": MINE, "@other": OTHER, "@versioned": VERSIONED}
"""Texts that the shapes below have names for."""
SHAPES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures/makefiles.toml").read_text(encoding="utf-8")
)
"""Folders in the shapes of public modules."""
AT_ONCE = ["PWD", "wildcard", "cat", "include", "objects beside", "host program", "two levels up"]
"""Of the forms those that the short tests look at."""


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files; `-> TARGET` is a link."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)


Make = Callable[[Path], None]


@pytest.fixture
def plain(kernel: Kernel, tmp_path: Path) -> Make:
    """Runs a plain make in a folder, as in a shell there on a machine that runs the kernel. It may write to what lies
    beside the folder too."""
    headers = tmp_path / "lib" / os.uname().release / "build"
    headers.parent.mkdir(parents=True)
    headers.symlink_to(kernel.build)
    (kernel.toolchain.root / "usr/lib/modules").mkdir(exist_ok=True)

    def make(folder: Path, *words: str) -> None:
        files = [folder / name for name in ("GNUmakefile", "Makefile")]
        texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
        # Where the Makefile does not call Kbuild, the user does.
        own = any(" -C " in text or "\tcd " in text for text in texts)
        kbuild: list[str | Path] = [] if own else ["-C", kernel.build, f"M={folder}", "modules"]
        grant = Grant(
            "test",
            writes=(folder.parents[1],),
            reads=(kernel.source, kernel.build),
            over_reads={Path("/usr/lib/modules"): headers.parents[1]},
        )
        argv: list[str | Path] = ["make", "-j2", *kbuild, *words]
        done = kernel.toolchain.run(argv, grant, cwd=folder, env={"PWD": str(folder)}, check=False)
        assert done.returncode == 0, done.stderr.decode()

    return make


@pytest.fixture
def place(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """A place for a module's folder, with its own folder around it; what is built of it is removed."""
    place = tmp_path / "project/driver"
    yield place
    home.remove(Module(place).output(kernel).parent)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """All below a folder, with times and sizes."""
    status = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: (found.st_mtime_ns, found.st_size) for name, found in status.items()}


def described(built: BuiltModule) -> str:
    """The module's own description."""
    return built.modinfo["description"][0]


def linked(built: BuiltModule) -> list[str]:
    """The objects that Kbuild linked into a module."""
    return built.path.with_suffix(".mod").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(
    "form", [pytest.param(name, marks=[] if name in AT_ONCE else [pytest.mark.thorough]) for name in FORMS]
)
def test_a_form(kernel: Kernel, place: Path, form: str) -> None:
    write(place, FORMS[form])
    before = listing(place.parents[1])
    built = Module(place).build(kernel)
    assert described(built) == "mine"
    assert listing(place.parents[1]) == before, "the folder and the files around it stay clean"
    parts = linked(built)
    change = next(path for path in place.rglob("*.c") if path.name != "gen.c")
    change.write_text(change.read_text(encoding="utf-8") + "/* changed */\n", encoding="utf-8")
    again = Module(place).build(kernel)
    assert described(again) == "mine"
    assert linked(again) == parts, "the second build links what the first one did"


@pytest.mark.thorough
@pytest.mark.parametrize("form", FORMS)
def test_plain_make_builds_the_same_and_harms_nothing(kernel: Kernel, place: Path, plain: Make, form: str) -> None:
    write(place, FORMS[form])
    plain(place)
    [other] = place.rglob("*.ko")
    theirs = BuiltModule(other).modinfo
    built = Module(place).build(kernel)
    assert described(built) == "mine"
    assert built.modinfo == theirs
    parts = linked(built)
    # With a wildcard, make takes its own NAME.mod.c for a source from now on; r4l does not.
    plain(place)
    again = Module(place).build(kernel)
    assert again.modinfo == theirs
    assert linked(again) == parts


SOME_SHAPES = ["wifi-vendor", "laptop", "header-of-the-outer-pass"]
"""Of the shapes those that the short tests look at."""


@pytest.mark.parametrize(
    "shape", [pytest.param(name, marks=[] if name in SOME_SHAPES else [pytest.mark.thorough]) for name in SHAPES]
)
def test_a_folder_in_the_shape_of_a_public_module(kernel: Kernel, place: Path, plain: Make, shape: str) -> None:
    """Plain make builds it, in the folder itself, as r4l did before and does afterwards."""
    files = SHAPES[shape]["files"]
    write(place, {name: STAND_FOR.get(text, text) for name, text in files.items()})
    before = listing(place.parents[1])
    names = SHAPES[shape].get("modules", ["x"])

    def build() -> list[BuiltModule]:
        built = Module(place).build_all(kernel)
        assert sorted(one.path.stem for one in built) == names
        assert {described(one) for one in built} == {"mine"}
        assert not [note for note in built[0].notes if note.name.startswith("outer")]
        return built

    parts = [linked(one) for one in build()]
    assert listing(place.parents[1]) == before, "the folder and the files around it stay clean"
    assert [linked(one) for one in build()] == parts
    plain(place)
    assert sorted(file.stem for file in place.rglob("*.ko")) == names
    assert [one.modinfo for one in sorted(build(), key=lambda one: one.path.stem)] == [
        BuiltModule(file).modinfo for file in sorted(place.rglob("*.ko"), key=lambda file: file.stem)
    ]


HEAD = "#include <linux/module.h>\n"
LICENSE = 'MODULE_DESCRIPTION("x");\nMODULE_LICENSE("GPL");\n'
SEVERAL = {
    "Makefile": "obj-$(CONFIG_TOP) += top.o\nobj-m += low.o soft.o\nobj-$(CONFIG_EXTRA) += extra.o\nsoft-y := s.o\n",
    "top.c": HEAD
    + "int low_value(void);\n"
    + 'static int __init top_init(void) { pr_info("top: %d\\n", low_value()); return 0; }\n'
    + "module_init(top_init);\nstatic void __exit top_exit(void) {}\nmodule_exit(top_exit);\n"
    + LICENSE,
    "low.c": HEAD
    + "int low_value(void);\nint low_value(void) { return 42; }\nEXPORT_SYMBOL_GPL(low_value);\n"
    + LICENSE,
    "s.c": HEAD
    + 'MODULE_SOFTDEP("post: low");\nMODULE_INFO(enabled, __stringify(IS_ENABLED(CONFIG_TOP)));\n'
    + LICENSE,
    "extra.c": HEAD + LICENSE,
}
"""Modules of one folder that need each other, in an order in which they cannot be loaded; some by options."""


def test_several_modules_by_options_are_loaded_in_the_order_of_their_symbols(
    kernel: Kernel, place: Path, vm: VM
) -> None:
    write(place, SEVERAL)
    assert [built.name for built in Module(place).build_all(kernel)] == ["soft", "low"]
    built = Module(place, {"TOP": "m", "EXTRA": "n"}).build_all(kernel)
    assert [one.name for one in built] == ["soft", "low", "top"]
    assert built[0].modinfo["enabled"] == ["0"], "as with a plain `make CONFIG_TOP=m`, which defines nothing"
    vm.insmod(built[2])
    vm.klog.wait_for("top: 42")
    assert "low" in vm.run("lsmod").stdout
    assert "soft" not in vm.run("lsmod").stdout, "only what it needs"


@pytest.mark.parametrize("by", ["r4l", pytest.param("make", marks=pytest.mark.thorough)])
def test_symbols_of_a_folder_beside(kernel: Kernel, place: Path, plain: Make, by: str) -> None:
    """KBUILD_EXTRA_SYMBOLS names the Module.symvers of a folder that was built before."""
    value = "int of_other(void);\nint of_other(void) { return 1; }\nEXPORT_SYMBOL_GPL(of_other);\n"
    write(
        place,
        {
            **FORMS["symbols of another"],
            "../base/Kbuild": "obj-m := base.o\n",
            "../base/base.c": HEAD + value + LICENSE,
        },
    )
    makefile = place / "Makefile"
    makefile.write_text(makefile.read_text().replace("/other/", "/../base/"))
    base = Module(place.parent / "base")
    if by == "make":
        plain(base.folder)
    else:
        base.build(kernel)
    before = listing(place.parent)
    built = Module(place).build(kernel)
    assert built.depends == ["base"]
    assert listing(place.parent) == before
    if by == "r4l":
        home.remove(base.output(kernel).parent)


def test_a_folder_whose_options_are_not_set_says_which(kernel: Kernel, place: Path) -> None:
    write(place, {**SEVERAL, "Makefile": "obj-$(CONFIG_TOP) += top.o\n"})
    with pytest.raises(UsageError, match=r"builds no module: CONFIG_TOP is not set") as caught:
        Module(place).build(kernel)
    assert caught.value.remedy == "give `--config CONFIG_TOP=m`"
    write(place, {"Makefile": "obj-m += $(OBJECT_FILES)\n"})
    with pytest.raises(
        UsageError, match=r"builds no module: OBJECT_FILES, of which it makes obj-m, is empty"
    ) as caught:
        Module(place).build(kernel)
    assert caught.value.remedy == "give it a value there: `OBJECT_FILES ?= NAME.o`"


@pytest.mark.thorough
def test_an_edit_compiles_what_it_touches(kernel: Kernel, place: Path) -> None:
    write(place, FORMS["folders of the parts"])
    module = Module(place)

    def compiled() -> list[str]:
        module.build(kernel)
        lines = module.log(kernel).read_text(encoding="utf-8").splitlines()
        return sorted(line.split()[-1] for line in lines if line.startswith("  CC") and ".mod" not in line)

    assert "src/main.o" in compiled()
    assert compiled() == []
    (place / "c/other.c").write_text("int other(void);\nint other(void) { return 2; }\n")
    assert compiled() == ["c/other.o"]
    (place / "inc/mine.h").write_text('#define MINE  "mine"\n')
    assert compiled() == ["src/main.o"]
    (place / "c/other.c").unlink()
    with pytest.raises(BuildError, match=r"other\.o"):
        module.build(kernel)
    (place / "Kbuild").write_text("obj-m := x.o\nx-y := src/main.o\n")
    assert described(module.build(kernel)) == "mine"


@pytest.mark.parametrize("sandbox", ["root", pytest.param("proot", marks=pytest.mark.thorough)])
def test_in_the_other_sandboxes(kernel: Kernel, place: Path, sandbox: str) -> None:
    """The folder stays clean there too."""
    write(place, FORMS["host program"])
    before = listing(place.parent)
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "build", str(place), "--kernel", kernel.name],
        env={**os.environ, "R4L_SANDBOX": sandbox},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert described(BuiltModule(Path(done.stdout.strip()))) == "mine"
    assert listing(place.parent) == before


def test_messages_name_the_users_files_by_their_whole_paths(kernel: Kernel, place: Path) -> None:
    write(place, {"Kbuild": "obj-m := x.o\nx-y := src/main.o\n", "src/main.c": C, "src/mine.h": "#error no\n"})
    with pytest.raises(BuildError, match=re.escape(f"{place}/src/mine.h:1:2: error: #error no")):
        Module(place).build(kernel)
    (place / "src/mine.h").write_text(MINE + "#warning so\n")
    warnings = Module(place).build(kernel).warnings
    assert f"{place}/src/mine.h:2:2: warning: #warning so" in warnings
    assert f"In file included from {place}/src/main.c:2:" in warnings


GIT = {
    "Makefile": "obj-m := x.o\nVERSION = $(shell git -C $(src) describe --always --dirty 2>/dev/null)\n"
    'ccflags-y += -DVER=\\"$(VERSION)\\" -DSEEN=$(shell cat $(src)/.git/config $(src)/.git/logs/* | grep -c secret)\n'
    "$(obj)/x.o: $(obj)/firmware.h\n$(obj)/firmware.h: $(src)/firmware.bin\n\tcd $(src) && xxd -i firmware.bin >$@\n",
    "firmware.bin": "mine",
    "x.c": VERSIONED + '#include "firmware.h"\nMODULE_INFO(seen, __stringify(SEEN));\n'
    "int size(void);\nint size(void) { return firmware_bin_len; }\n",
}
"""A module whose version is that of git, and which has a file made by xxd."""


@pytest.fixture
def committed(kernel: Kernel, place: Path) -> Path:
    """The top of a git work tree with that module in it, all of it committed and with a tag."""
    write(place, GIT)
    tools = kernel.toolchain.extended("programs")
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "secret"], [*who, "tag", "-am", "v", "mine"]):
        tools.run(["git", *words], Grant("test", writes=(place,)), cwd=place)
    with (place / ".git/config").open("a") as config:
        config.write("[http]\n\textraHeader = secret\n")
    return place


def test_programs_that_the_toolchain_lacks_are_fetched(kernel: Kernel, committed: Path) -> None:
    before = listing(committed)
    for _ in range(2):
        built = Module(committed).build(kernel)
        assert described(built) == "mine"
        assert built.modinfo["seen"] == ["0"], "neither the configuration nor the log"
        assert not built.notes
    assert listing(committed) == before
    (committed / "x.c").write_text(GIT["x.c"] + "// another\n")
    assert described(Module(committed).build(kernel)) == "mine-dirty"


def test_programs_that_cannot_be_fetched_are_named(
    kernel: Kernel, committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def extended(*_: object, **__: object) -> Toolchain:
        tries.append(1)
        raise EnvironmentFault("no network", "connect")

    monkeypatch.setattr(Toolchain, "extended", extended)
    # The failure is remembered for this way to the mirror only, which nobody else takes.
    monkeypatch.setenv("no_proxy", f"{uuid4()}.invalid")
    makefile = committed / "Makefile"
    with pytest.raises(BuildError) as caught:
        Module(committed).build(kernel)
    assert "(git, xxd), and they cannot be fetched: no network" in caught.value.cause
    assert caught.value.remedy.startswith("connect; ")
    assert caught.value.known == "programs-not-fetched"
    assert "cannot be fetched" not in caught.value.detail
    text = makefile.read_text(encoding="utf-8")
    makefile.write_text(text.replace("xxd -i firmware.bin", "(nosuch; echo 'int firmware_bin_len = 1;')"))
    built = Module(committed).build(kernel)
    assert described(built) == ""
    assert {note.name for note in built.notes} == {"programs-not-fetched", "absent-programs"}
    assert "(git)" in built.notes[0].cause
    assert "have: nosuch. " in built.notes[1].cause
    makefile.write_text(text.replace("xxd -i firmware.bin", "(xxd -i firmware.bin; echo 'int firmware_bin_len = 1;')"))
    (committed / "firmware.bin").write_text("another")
    [note] = Module(committed).build(kernel).notes
    assert "(git, xxd)" in note.cause
    assert len(tries) == 1, "one try for three builds"


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
