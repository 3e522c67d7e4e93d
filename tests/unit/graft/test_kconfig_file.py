# SPDX-License-Identifier: MIT
"""The place of a driver's lines in a Kconfig and a Makefile, where no condition of others hides them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kconfiglib
import pytest

from r4l import resources
from r4l.graft import depends, graft
from r4l.graft.kconfig_file import wrapped
from r4l.graft.texts import insertion

HELLO = resources.rust("drivers", "hello")
AROUND = {
    "a menu": 'menu "A"\n\nconfig A\n\tbool "a"\n\nendmenu\n',
    "a condition with its option": 'menuconfig A\n\tbool "a"\n\nif A\n\nconfig B\n\tbool "b"\n\nendif # A\n',
    "an option that is no menu": 'config A\n\tbool "a"\n\thelp\n\t  if unsure\n\nif A\nconfig B\n\tbool\nendif\n',
    "two options": 'config A\n\tbool "a"\nconfig B\n\tbool "b"\nif A && B\nendif\n',
    "others inside": 'menu "A"\nif B\nconfig C\n\tbool\nendif\nchoice\n\tprompt "c"\nendchoice\nendmenu\n',
    "spaces and a comment": '# SPDX\n\n  menu "A"\n\tdepends on B && \\\n\tif\n  endmenu # of A\n\n',
    "carriage returns": 'menuconfig A\r\n\tbool "a"\r\nif A\r\nendif\r\n',
    "no end": 'menu "A"\nendmenu',
}
BEHIND = {
    "an option before": 'config A\n\tbool "a"\n\nif B\n\nconfig C\n\tbool\n\nendif\n',
    "a menu before": 'menu "A"\nendmenu\nmenu "B"\nendmenu\n',
    "a source before": 'source "x/Kconfig"\nif A\nendif\n',
    "another option's menu": 'menuconfig A\n\tbool "a"\nif A\nendif\nif B\nendif\n',
    "an option before the menu's": 'config O\n\tbool "o"\nmenuconfig A\n\tbool "a"\nif A\nendif\n',
    "an option behind": 'menu "A"\nendmenu\nconfig B\n\tbool\n',
    "a comment behind": 'menu "A"\nendmenu\n# the end\n',
    "words of a help": 'config A\n\tbool "a"\n\thelp\n\t  The last word is\n\t  endmenu\n',
    "the same, indented": 'menu "A"\nendmenu\nconfig A\n\tbool "a"\n\thelp\n\n\t    if\n\t  \tmore\n\t    endmenu',
    "unequal": "if A\nendmenu\n",
    "one too many": 'menu "A"\nendmenu\nendmenu\n',
    "one too few": 'menu "A"\nif B\nendif\n',
    "nothing": "",
    "one line": "endif",
}


@pytest.mark.parametrize("text", AROUND.values(), ids=list(AROUND))
def test_a_menu_around_all_takes_the_entry(text: str) -> None:
    at = wrapped(text)
    assert at is not None
    assert text[at:].lstrip().startswith(("endmenu", "endif"))
    assert insertion(text, "config N\n\n", "x/Kconfig.more") == (at, "config N\n\n")


@pytest.mark.parametrize("text", BEHIND.values(), ids=list(BEHIND))
def test_any_other_condition_does_not(text: str) -> None:
    """Regression: an entry was put into the condition that the file ended with, and hidden where that is not met."""
    assert wrapped(text) is None
    at, block = insertion(text, "config N\n", "x/Kconfig")
    assert at == len(text)
    assert block.lstrip() == "config N\n"


MAKEFILES = {
    "a condition": "obj-y += a.o\nifdef CONFIG_A\nobj-y += b.o\nendif\n",
    "a condition around all": "ifdef CONFIG_A\n\nendif # CONFIG_A\n",
    "without an end": "ifeq ($(A),y)\nendif",
    "a line that goes on": "obj-y += a.o \\\n",
}


@pytest.mark.parametrize("text", MAKEFILES.values(), ids=list(MAKEFILES))
def test_a_line_of_a_makefile_goes_to_its_end(text: str, tree: Path, texts: Callable[[Path], dict[str, str]]) -> None:
    """Regression: a driver's line in a condition at the end was passed over without a word."""
    (tree / "samples/rust/Makefile").write_text(text)
    graft(HELLO, tree)
    lines = (tree / "samples/rust/Makefile").read_text().replace("\\\n", " ").splitlines()
    assert lines[-1] == "obj-$(CONFIG_SAMPLE_RUST_HELLO) += hello.o"
    assert "\n".join(lines[:-1]).split() == text.replace("\\\n", " ").split()


def test_a_grafted_option_can_be_chosen(tree: Path) -> None:
    """Regression: in net/wireless, fs/smb/client and 50 others, it could not without an option of others."""
    kconfig = tree / "samples/rust/Kconfig"
    # The others are no Kconfig.
    for text in list(BEHIND.values())[:9]:
        kconfig.write_text("config RUST\n\tdef_bool y\n\n" + text.replace('source "x/Kconfig"\n', ""))
        (tree / "samples/rust/Makefile").write_text("")
        (tree / "samples/rust/hello.rs").unlink(missing_ok=True)
        graft(HELLO, tree)
        symbols = kconfiglib.Kconfig(str(kconfig), warn=False).syms
        assert symbols["SAMPLE_RUST_HELLO"].nodes[0].prompt
        assert symbols["SAMPLE_RUST_HELLO"].visibility, text


@pytest.mark.parametrize(
    "head", ["config OLD # mine", "config OLD#mine", "  config OLD", "menuconfig\tOLD", "config OLD  "]
)
def test_an_option_that_is_there(head: str, tree: Path) -> None:
    """Regression: an option with a comment behind its name, or indented below another, was not seen."""
    (tree / "init/Kconfig").write_text(f'config A\n\tbool\n{head}\n\tbool "old"\n\thelp\n\t  config NONE\n')
    known = depends.options(tree)
    assert (known["OLD"], known["A"]) == (True, False)
    assert "NONE" not in known
