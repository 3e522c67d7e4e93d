# SPDX-License-Identifier: MIT
"""Folders of several modules, by options and by symbols of each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.vm.plain_forms.folders import HEAD, LICENSE, Make, listing, write
from tests.vm.plain_forms.forms import FORMS

from r4l import home
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.vm import VM

pytestmark = pytest.mark.vm

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
