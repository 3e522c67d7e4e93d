# SPDX-License-Identifier: MIT
"""Reasons why options were dropped, from small Kconfig files."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from r4l.arch import architecture
from r4l.kernel.kconfig import why_dropped
from r4l.kernel.kconfig_why import Kconfig, Why
from r4l.limits import LimitExceeded
from r4l.toolchain import Toolchain

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


class Here(Toolchain):
    """A toolchain without a sandbox."""

    def run(self, argv: Sequence[str | Path], *_: Any, **words: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, *argv[1:]], input=words["input"], capture_output=True, check=False)


class Slow(Toolchain):
    def run(self, *_: Any, **_words: Any) -> subprocess.CompletedProcess[bytes]:
        raise LimitExceeded("python3 used more than 60 s of processor time")


UNKNOWN = "the reason is not known: "


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (b"", "it depends on NET (NET=n) and PCI (PCI=n)"),
        (b"config CAFE\n\tbool\n\thelp\n\t  caf\xe9\n", "it depends on NET (NET=n) and PCI (PCI=n)"),
        (b"$(info,a word)\n", "it depends on NET (NET=n) and PCI (PCI=n)"),
        (b"foo bar\n", "Kconfig:48: error: couldn't parse 'foo bar'"),
        (b'source "gone/Kconfig"\n', "Kconfig:48: 'gone/Kconfig' not found"),
        (b"config A\n\tbool\n\tdepends on B\nconfig B\n\tbool\n\tdepends on A\n", f"{UNKNOWN}Dependency loop"),
        (b"config A\n\tbool\n\tdepends on " + b"(" * 5000 + b"NET" + b")" * 5000 + b"\n", UNKNOWN),
    ],
    ids=["whole", "latin-1", "info", "unknown", "missing", "loop", "deep"],
)
def test_a_tree_that_is_not_understood_is_built_nevertheless(tmp_path: Path, more: bytes, reason: str) -> None:
    """Regression: the build of the kernel ended with "python3 failed in the toolchain"."""
    (tmp_path / "Kconfig").write_bytes(KCONFIG.encode() + more)
    (tmp_path / ".config").touch()
    (dropped,) = why_dropped({"CONFIG_WIDGET": "m"}, tmp_path, tmp_path, architecture("x86_64"), Here(tmp_path, "key"))
    assert reason in dropped.reason
    assert dropped.known


def test_a_tree_that_is_not_understood_in_time(tmp_path: Path) -> None:
    (tmp_path / ".config").touch()
    (dropped,) = why_dropped({"CONFIG_A": "y"}, tmp_path, tmp_path, architecture("x86_64"), Slow(tmp_path, "key"))
    assert dropped.reason == f"{UNKNOWN}python3 used more than 60 s of processor time"


def test_kconfiglib_is_used_in_one_file() -> None:
    """Its last release is of 2020; a future replacement must change one file only."""
    users = [
        path for path in SOURCE.rglob("*.py") if re.search(r"^\s*(import|from) kconfiglib", path.read_text(), re.M)
    ]
    assert [path.name for path in users] == ["kconfig_why.py"]
