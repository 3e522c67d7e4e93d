# SPDX-License-Identifier: MIT
"""Reasons why options were dropped, from small Kconfig files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r4l.kernel.kconfig_why import Kconfig, Why

SOURCE = Path(__file__).parents[3] / "src/r4l"
KCONFIG = """\
mainmenu "test"

config MODULES
	bool "modules"
	modules

config NET
	bool "net"

config PCI
	bool "pci"

config WIDGET
	tristate "widget"
	depends on NET && PCI

config CONDITIONAL
	bool "depends on A if B, since Linux 7.0"
	depends on PCI if NET

# An old name whose value a new one takes over, since Linux 6.18.
config OLD_NAME
	bool
	transitional

config NEW_NAME
	bool "new name"
	default OLD_NAME

config HELPER
	bool

config USER
	bool "user"
	select HELPER

choice
	prompt "one of"
config FIRST
	bool "first"
config SECOND
	bool "second"
endchoice

config SIZE
	int "size"
	range 1 10
"""


def why(folder: Path, **config: str) -> Why:
    """Answers of the program for a configuration, with option names without CONFIG_."""
    (folder / "Kconfig").write_text(KCONFIG)
    return Why(
        Kconfig(str(folder / "Kconfig"), warn=False), {f"CONFIG_{name}": value for name, value in config.items()}
    )


@pytest.mark.parametrize(
    ("config", "option", "wanted", "reason"),
    [
        ({"NET": "y"}, "WIDGET", "m", "it depends on PCI (PCI=n)"),
        ({}, "WIDGET", "m", "it depends on NET (NET=n) and PCI (PCI=n)"),
        ({"NET": "y"}, "CONDITIONAL", "y", "it depends on PCI || !NET (NET=y, PCI=n)"),
        ({"NET": "y"}, "NET", "m", "it is either y or n, and no module"),
        ({}, "HELPER", "y", "it cannot be set by hand: other options select it (CONFIG_USER)"),
        ({"USER": "y", "HELPER": "y"}, "HELPER", "n", "it is selected by CONFIG_USER"),
        ({"FIRST": "y"}, "SECOND", "y", "of this choice only one can be set, and CONFIG_FIRST is"),
        ({"SIZE": "10"}, "SIZE", "11", "the kernel has '10' there"),
        ({"NEW_NAME": "n"}, "OLD_NAME", "y", "it cannot be set by hand: other options select it"),
    ],
)
def test_reasons(tmp_path: Path, config: dict[str, str], option: str, wanted: str, reason: str) -> None:
    answer = why(tmp_path, **config).answer(f"CONFIG_{option}", wanted)
    assert answer == {"known": True, "reason": reason}


def test_a_conditional_dependency_holds_where_its_condition_does_not(tmp_path: Path) -> None:
    answer = why(tmp_path, NET="n").answer("CONFIG_CONDITIONAL", "y")
    assert "nothing that Kconfig says stands against it" in str(answer["reason"])


def test_an_option_that_the_kernel_does_not_have(tmp_path: Path) -> None:
    answer = why(tmp_path).answer("CONFIG_WIDGE", "y")
    assert answer["known"] is False
    assert "WIDGET" in answer["names"]  # type: ignore[operator]


def test_kconfiglib_is_used_in_one_file() -> None:
    """Its last release is of 2020; a future replacement must change one file only."""
    users = [
        path for path in SOURCE.rglob("*.py") if re.search(r"^\s*(import|from) kconfiglib", path.read_text(), re.M)
    ]
    assert [path.name for path in users] == ["kconfig_why.py"]
