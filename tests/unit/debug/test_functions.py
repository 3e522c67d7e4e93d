# SPDX-License-Identifier: MIT
"""Functions in the form that their author writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from r4l.debug import symbols
from r4l.debug.functions import Function, matches, parse, places
from r4l.debug.plan import require_debuggable
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.toolchain import Toolchain

TRAIT = "<hello::Hello as kernel::Module>::init"
INHERENT = "<main::hw::Hw<main::hw::Live>>::reset"
FREE = "main::eeprom::read_word"

PRINTED = """\
/x/hello.ko:\tfile format elf64-x86-64

0x0000000b: DW_TAG_compile_unit
              DW_AT_name\t("/x/hello.rs/@/hello.8704977d4f08b686-cgu.0")

0x0000002a:   DW_TAG_namespace
                DW_AT_name\t("hello")

0x0000002f:     DW_TAG_namespace
                  DW_AT_name\t("__module_init")

0x00000137:       DW_TAG_inlined_subroutine
                    DW_AT_abstract_origin\t(0x000002db "_RNvXCsbAHes1ROym8_5helloNtB2_5HelloNtNt4init")

0x000002d0:     DW_TAG_namespace
                  DW_AT_name\t("{impl#0}")

0x00000294:       DW_TAG_subprogram
                    DW_AT_low_pc\t(0x0000000000000010)
                    DW_AT_abstract_origin\t(0x000002db "_RNvXCsbAHes1ROym8_5helloNtB2_5HelloNtNt4init")

0x000002db:       DW_TAG_subprogram
                    DW_AT_linkage_name\t("_RNvXCsbAHes1ROym8_5helloNtB2_5HelloNtNtCsb5MLIFMWygY_6kernel6module6Module4init")
                    DW_AT_name\t("init")
                    DW_AT_decl_file\t("/x/hello.rs")

0x000003db:     DW_TAG_structure_type
                  DW_AT_name\t("Hello<(u8, u8)>")

0x000003de:       DW_TAG_subprogram
                    DW_AT_name\t("init<u8>")

0x0000ae43: DW_TAG_compile_unit

0x0000ae4a:   DW_TAG_subprogram
                DW_AT_name\t("init")
"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (TRAIT, "init"),
        (TRAIT, "Hello::init"),
        (TRAIT, "hello::Hello::init"),
        (TRAIT, "Module::init"),
        (TRAIT, TRAIT),
        (INHERENT, "Hw::reset"),
        (INHERENT, "Hw<Live>::reset"),
        (INHERENT, "main::hw::Hw::reset"),
        (FREE, "read_word"),
        (FREE, "eeprom::read_word"),
        ("main::hw::wait::<main::hw::Live>", "hw::wait"),
    ],
)
def test_what_is_meant(path: str, wanted: str) -> None:
    assert matches(path, wanted)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(TRAIT, "nit"), (TRAIT, "lo::init"), (TRAIT, "Goodbye::init"), (INHERENT, "hw::reset"), (FREE, "hw::read_word")],
)
def test_what_is_not_meant(path: str, wanted: str) -> None:
    assert not matches(path, wanted)


def test_names_come_from_what_is_around() -> None:
    assert list(parse(PRINTED)) == [
        Function("<hello::Hello as kernel::module::Module>::init", "hello::{impl#0}::init"),
        Function("hello::Hello<(u8, u8)>::init<u8>", "hello::Hello<(u8, u8)>::init<u8>"),
        Function("init", "init"),
    ]


@pytest.mark.parametrize("wanted", ["Hello::init", "init"])
def test_a_module_without_debug_information(wanted: str, tmp_path: Path) -> None:
    """Regression: the module "has no function init", and the remedy was another name."""
    file = tmp_path / "hello.ko"
    file.write_bytes(symbols.elf(b"ffffffff81000000 T init\n", cast(Kernel, SimpleNamespace(arch="x86_64"))))
    with pytest.raises(BuildError, match="has no debug information") as caught:
        places(wanted, [file], Toolchain(tmp_path, "key"))
    assert "-g0" in caught.value.remedy
    assert places("hello.rs:20", [file], Toolchain(tmp_path, "key")) == ["hello.rs:20"]


def test_a_kernel_without_debug_information() -> None:
    """Regression: its modules have lines, so gdb was started, and ended with "No struct type named module"."""
    without = cast(Kernel, SimpleNamespace(name="minimal", config={"CONFIG_DEBUG_INFO_NONE": "y"}))
    with pytest.raises(BuildError, match="modules for the kernel minimal have no debug information") as caught:
        require_debuggable(without)
    assert "such as stock or debug" in caught.value.remedy
    require_debuggable(cast(Kernel, SimpleNamespace(name="debug", config={"CONFIG_DEBUG_INFO": "y"})))
