# SPDX-License-Identifier: MIT
"""Only plain lines are allowed in a student's Kbuild, Makefile and Kconfig, none that make or Kconfig would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.camp.labs import plain
from r4l.camp.labs.lab import Lab
from r4l.errors import BuildError

KCONFIG = """\
# SPDX-License-Identifier: GPL-2.0-only

if NET && (RUST || 64BIT != "n")  # 条件
config CAMP_GREETER
\ttristate "A greeter, 问候" if EXPERT
\tdepends on RUST
\tdepends on m || PRINTK!=n
\tdefault n
\tselect FOO if BAR
\thelp
\t  source "of" `all` evil: include it, $ excluded.

\t  config BROKEN
endif
"""


@pytest.mark.parametrize(
    "line",
    [
        "obj-m := camp_greeter.o",
        "obj-m += a.o b-c.o  # two",
        "obj-$(CONFIG_CAMP_GREETER) += camp_greeter.o",
        "obj-${CONFIG_CAMP_GREETER}=camp_greeter.o",
        "  obj-y\t:= ",
        "# 你好",
        "",
    ],
)
def test_plain_lines_of_make_are_taken(line: str) -> None:
    assert plain.refused("Kbuild", f"{line}\n") == ""


@pytest.mark.parametrize(
    "line",
    [
        "obj-m := $(shell id)",
        "obj-$(shell id) := x.o",
        "obj-$(CAMP_GREETER) += camp_greeter.o",
        "obj-$(CONFIG_A$(shell id)) += x.o",
        "obj-m := x.o ; id",
        "obj-m := `id`",
        "obj-m != id",
        "obj-m := sub/",
        "obj-m := ../x.o",
        "subdir-y := sub",
        "hostprogs-always-y := x",
        "include /etc/passwd",
        "-include x",
        "$(info x)",
        "all: ; id",
        "\tid",
        "# a comment that goes on \\",
        "# $(shell id)",
        "obj-m := x.o\r",
        "obj-m := x.o\x0b$(shell id)",
        "ifneq ($(KERNELRELEASE),)",
        "CC = id",
        "define obj-m",
    ],
)
def test_no_other_line_of_make_is(line: str) -> None:
    for name in ("Kbuild", "Makefile"):
        assert plain.refused(name, f"# fine\n{line}\n").startswith(f"{name}, line 2: ")


def test_kconfig_is_taken_with_its_help() -> None:
    assert plain.refused("Kconfig", KCONFIG.replace(", $ excluded", "")) == ""
    assert plain.refused("Kconfig", KCONFIG) == 'Kconfig, line 11: source "of" `all` evil: include it, $ excluded.'


@pytest.mark.parametrize(
    "line",
    [
        'source "/etc/passwd"',
        'osource "x"',
        "X := $(shell,id)",
        "X = 1",
        'tristate "$(shell,id)"',
        "default $(success,id)",
        'tristate "goes on \\',
        "depends on \\",
        "mainmenu 'x'",
        "modules",
        'tristate "a" source "b"',
        "depends on X\x0csource",
    ],
)
def test_no_other_line_of_kconfig_is(line: str) -> None:
    assert plain.refused("Kconfig", f"config X\n{line}\n").startswith("Kconfig, line 2: ")


@pytest.mark.parametrize(
    "text",
    [
        # Less indented than the first line of the help; at the margin; after a help whose first line is.
        'config X\n\thelp\n\t    text\n\t  source "evil"\n',
        'config X\n\thelp\n\t  text\nsource "evil"\n',
        'config X\n\thelp\nendif\n\t\thelp\n   source "evil"\n',
        'config X\n\thelp\n\n\nsource "evil"\n',
        'config X\n\thelp # not text\n        text\n       source "evil"\n',
    ],
)
def test_a_help_text_hides_nothing(text: str) -> None:
    assert plain.refused("Kconfig", text)


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := $(shell id).o\n")
    with pytest.raises(BuildError, match=r"Kbuild, line 1: obj-m := \$\(shell id\)\.o: not allowed here"):
        plain.require(tmp_path / "Kbuild")
    assert plain.refused("main.rs", "$(shell id)") == ""


@pytest.mark.parametrize("lab", Lab.all(), ids=lambda lab: lab.name)
def test_the_labs_own_files_of_students_are_plain(lab: Lab) -> None:
    for folder in (lab.starter, lab.answer):
        for path in folder.rglob("*"):
            if path.is_file() and lab.is_students(path.relative_to(folder)) and plain.file_syntax(path.name):
                plain.require(path)
