# SPDX-License-Identifier: MIT
"""Recognition of a module's folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from r4l.errors import UsageError
from r4l.module import Module, kbuild_of
from r4l.module.makefiles import beside, options, options_of, variables_of


@pytest.mark.parametrize(
    "line",
    [
        "obj-m := a.o",
        "obj-$(CONFIG_A) += a.o",
        "  obj-m += a.o b.o",
        "export obj-m += a.o",
        "obj-$(CONFIG_A:y=m) := a.o",
        "obj-m \\\n := a.o",
        "override obj-m := a.o",
        "$(foreach name,a b,$(eval obj-m += $(name).o))",
        "$(eval obj-$(CONFIG_A) := a.o)",
        "define add\nobj-m += $(1).o\nendef\n$(eval $(call add,a))",
        "obj-m := a.o\r",
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
    (tmp_path / "Makefile").write_text("all:\n\tcc a.c\n# obj-m := a.o\nall-obj-m := a.o\nx := 1 # obj-m := a.o\n")
    assert kbuild_of(tmp_path) is None


def test_the_folder_of_a_project_names_those_of_its_modules(tmp_path: Path) -> None:
    for name in ("src", "src/sub", "contrib/driver", "doc", ".git", "a/b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "Makefile").write_text("all:\n" if name == "doc" else "obj-m := x.o\n")
    with pytest.raises(UsageError) as refused:
        Module(tmp_path).require_kbuild()
    assert refused.value.remedy == f"give the folder of the module: {tmp_path}/src, {tmp_path}/contrib/driver"


OF_MAKE = [
    "$(HERE)flags.mk",
    "$(dir $(lastword $(MAKEFILE_LIST)))flags.mk",
    "$(dir $(abspath $(lastword $(MAKEFILE_LIST))))/flags.mk",
    "$(shell dirname $(realpath $(firstword $(MAKEFILE_LIST))))/flags.mk",
]
"""Ways in which a Makefile finds its own folder."""


@pytest.mark.parametrize(
    "way", ["flags.mk", "$(PWD)/flags.mk", "$(src)/flags.mk", "${CURDIR}/flags.mk", "./flags.mk", *OF_MAKE]
)
def test_objects_in_a_file_that_is_included(tmp_path: Path, way: str) -> None:
    (tmp_path / "Makefile").write_text(f"-include other.mk {way}\n")
    assert kbuild_of(tmp_path) is None
    (tmp_path / "flags.mk").write_text("include Makefile\nobj-m := a.o\n")
    assert kbuild_of(tmp_path) == tmp_path / "Makefile"


AROUND = {
    "../rules.mk": "../rules.mk",
    "$(src)/../rules.mk": "../rules.mk",
    "$(dir $(lastword $(MAKEFILE_LIST)))../rules.mk": "../rules.mk",
    "$(TOP)/mk/rules.mk # of all": "../../mk/rules.mk",
    "$(abspath $(src)/../..)/rules.mk": "../../rules.mk",
    "$(shell git rev-parse --show-toplevel)/rules.mk": "../../rules.mk",
    "../first.mk": "../rules.mk",
}
"""Ways in which a Makefile includes a file around its folder, and the place of that file."""


@pytest.mark.parametrize("way", AROUND)
def test_objects_in_a_file_around_the_folder(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "project/drivers/one"
    folder.mkdir(parents=True)
    (tmp_path / "project/.git").mkdir()
    (folder.parent / "first.mk").write_text("include $(src)/../rules.mk\n")
    (folder / "Makefile").write_text(f"include {way}\n")
    assert kbuild_of(folder) is None
    file = folder / AROUND[way]
    file.parent.mkdir(exist_ok=True)
    file.write_text("obj-$(CONFIG_A) := a.o ../common/b.o\n")
    assert kbuild_of(folder) == folder / "Makefile"
    assert options_of(folder / "Makefile") == {"CONFIG_A"}
    (folder.parent / "common").mkdir()
    (folder.parent / "common/b.c").write_text("")
    assert beside(folder, ["Makefile"], [tmp_path / "project"]) == [folder.parent / "common"]


def test_a_file_that_the_build_does_not_see_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "project/drivers/one"
    folder.mkdir(parents=True)
    (tmp_path / "project/rules.mk").write_text("obj-m := a.o\n")
    (folder / "Makefile").write_text(f"include $(src)/../../rules.mk {tmp_path}/project/rules.mk\n")
    assert kbuild_of(folder) is None
    (folder.parent / "rules.mk").symlink_to("../rules.mk")
    (folder / "Makefile").write_text("include ../rules.mk\n")
    assert kbuild_of(folder) is None


def test_options_that_decide_what_is_built(tmp_path: Path) -> None:
    file = tmp_path / "Kbuild"
    file.write_text("obj-$(CONFIG_A) += a.o\n  obj-${CONFIG_B} := b.o\n# obj-$(CONFIG_C)\nobj-m += c.o\n")
    assert options_of(file) == {"CONFIG_A", "CONFIG_B"}


def test_options_as_make_takes_them() -> None:
    assert options({"X": "m", "CONFIG_A": "y"}) == (("CONFIG_A", "y"), ("CONFIG_X", "m"))
    assert options({"X": "m", "A": "y"}) == options({"A": "y", "X": "m"})


@pytest.mark.parametrize(("name", "value"), [("", "m"), ("A B", "m"), ("X", "a b"), ("X", "$(shell id)"), ("M=/", "m")])
def test_an_option_that_make_would_take_for_something_else(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="is not an option of Kconfig"):
        options({name: value})


def test_what_is_built_with_other_options_lies_elsewhere(tmp_path: Path) -> None:
    kernel = SimpleNamespace(key="k")
    keys = [Module(tmp_path, config).key(kernel) for config in (None, {"X": "m"}, {"X": "y"}, {"X": "m", "Y": "m"})]  # type: ignore[arg-type]
    assert len(set(keys)) == 4
    assert keys[0] == "k"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x-y := main.o ../common/a.o", ["common"]),
        ("x-y := ../common/../common/a.o ../top.o", ["", "common"]),
        ("x-y := $(patsubst %.c,%.o,$(wildcard $(src)/../common/*.c))", ["common"]),
        ("ccflags-y := -I$(src)/../include", []),
        ("KDIR := ../linux", []),
        ("x-y := ../../outside/a.o", []),
        ("x-y := ../driver/a.o sub/../a.o", []),
        ("x-y := ../nowhere/a.o", []),
    ],
)
def test_folders_beside_whose_sources_are_compiled(tmp_path: Path, line: str, found: list[str]) -> None:
    project = tmp_path / "project"
    for name in ("driver/a.c", "common/a.c", "top.c", "include/a.h", "linux/Makefile", "../outside/a.c"):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (project / "driver/Kbuild").write_text(f"{line}\n")
    wanted = [project / name for name in found]
    assert beside(project / "driver", ["a.c", "Kbuild"], [project]) == wanted


def test_a_folder_that_a_link_leads_to(tmp_path: Path) -> None:
    for name in ("driver/a.c", "common/a.c", "doc/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "driver/shared").symlink_to("../common")
    (tmp_path / "driver/doc").symlink_to("../doc")
    assert beside(tmp_path / "driver", ["shared", "doc", "a.c"], [tmp_path]) == [tmp_path / "common"]


def test_variables_that_name_the_modules(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(
        "include more.mk\nobj-m += $(OBJECTS) ${MORE} # $(NO)\nobj-m += $(HERE) $(patsubst %.c,%.o,$(wildcard *.c))\n"
        "HERE := a.o\n-include none.mk\nb-y := $(PARTS)\n"
    )
    (tmp_path / "more.mk").write_text("MORE ?= b.o\n")
    assert variables_of(makefile) == ["OBJECTS"]
