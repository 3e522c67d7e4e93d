# SPDX-License-Identifier: MIT
"""Faults of build folders that no Rust module can be built against, found by inspection."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from r4l.kernel.kdir import explain_kdir
from r4l.toolchain import Toolchain

FIXTURES = Path(__file__).parents[2] / "fixtures/known"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "kdir.toml").read_text())["case"]
RUSTC = "rustc 1.85.1 (4eb161250 2025-03-15) (built from a source tarball)"

WHOLE = (
    "Makefile",
    "Module.symvers",
    "include/config/auto.conf",
    "include/generated/autoconf.h",
    "rust/libbindings.rmeta",
    "rust/libcore.rmeta",
    "rust/libkernel.rmeta",
    "rust/libmacros.so",
    "scripts/module.lds",
    "scripts/target.json",
)
CONFIG = ["CONFIG_X86_64=y", "CONFIG_RUST=y", f'CONFIG_RUSTC_VERSION_TEXT="{RUSTC}"']


class SaysItsVersion(Toolchain):
    """A toolchain with only a rustc that prints its version."""

    def run(self, argv: Any, *_: Any, **_rest: Any) -> subprocess.CompletedProcess[bytes]:
        assert argv == ["rustc", "--version"]
        return subprocess.CompletedProcess(argv, 0, f"{RUSTC}\n".encode(), b"")


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    return SaysItsVersion(tmp_path, "key")


def make_kdir(folder: Path, without: list[str] | None = None, config: list[str] | None = None) -> Path:
    for name in WHOLE:
        if name not in (without or []):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    (folder / "include/config").mkdir(parents=True, exist_ok=True)
    (folder / "include/config/kernel.release").write_text("7.2.0-mine\n")
    if ".config" not in (without or []):
        (folder / ".config").write_text("\n".join(config or CONFIG) + "\n")
    else:
        # A source tree that was never configured, as it is after `tar xf`.
        (folder / "Kconfig").touch()
    return folder


@pytest.mark.row("A11")
@pytest.mark.parametrize("case", CASES, ids=[case["error"] for case in CASES])
def test_the_fault_is_named(case: dict[str, Any], tmp_path: Path, toolchain: Toolchain) -> None:
    kdir = tmp_path / "build"
    if "folder" not in case:
        make_kdir(kdir, case.get("without"), case.get("config"))
    explanation = explain_kdir(kdir, toolchain)
    assert explanation is not None
    assert explanation.name == case["error"]
    for words in case["cause"]:
        assert words in explanation.cause
    assert str(kdir) in explanation.cause
    assert explanation.remedy


def test_a_whole_folder_has_no_fault(tmp_path: Path, toolchain: Toolchain) -> None:
    kdir = make_kdir(tmp_path / "build")
    assert explain_kdir(kdir, toolchain) is None
    assert explain_kdir(kdir) is None


def test_target_json_is_wanted_only_where_the_architecture_has_one(tmp_path: Path, toolchain: Toolchain) -> None:
    config = [line.replace("X86_64", "ARM64") for line in CONFIG]
    assert explain_kdir(make_kdir(tmp_path / "build", ["scripts/target.json"], config), toolchain) is None


def test_a_kernel_that_does_not_name_its_rustc_is_not_refused_for_it(tmp_path: Path, toolchain: Toolchain) -> None:
    assert explain_kdir(make_kdir(tmp_path / "build", config=CONFIG[:2]), toolchain) is None
