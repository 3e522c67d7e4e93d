# SPDX-License-Identifier: MIT
"""The Rust of the project is formatted, also in labs, templates and fixtures; that of the drivers is clean under clippy
with the settings of the kernel, and free of unsafe."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from r4l import resources
from r4l.camp.labs.lab import Lab
from r4l.kernel import Kernel, debian, stock
from r4l.module import Module
from r4l.scaffold import Template
from r4l.toolchain import Grant

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = sorted(path.parent.name for path in resources.rust("drivers").glob("*/Kbuild"))
UNSAFE = {"c_from_rust", "crashers"}
"""Drivers that need unsafe: one calls C itself, the other breaks the kernel's rules."""
OPERATIONS = re.compile(r"^( *)(?:pub\(super\) )?const \w+: bindings::(\w+) = bindings::\2 \{$(.*?)^\1\};", re.M | re.S)
"""A table of operations in the kit: indentation, the kernel's type, fields."""
FILLED = re.compile(r"const \w+: bindings::(\w+) = \{$(.*?)^    \};", re.M | re.S)
"""A table whose fields are set one by one, some for drivers with the operation only: the kernel's type, statements."""

POINTED = re.compile(r"\b(?!_)\w+: \*(?:mut|const) bindings::((?:kernel_)?ethtool_\w+)")
"""A parameter through which an operation of ethtool reads or writes a structure of the kernel's. The names of those
that it leaves alone begin with an underscore."""


FOLDERS = ("rust", "labs", "tests/fixtures/kit", "tests/fixtures/pinned_drop", "tests/rust/refused", "tests/debug")
"""Folders with Rust of the project's own; the other fixtures stand for other people's."""
PROGRAMS = ("rust/agent/", "rust/traffic/")
"""Programs of the guest, which are no code of the kernel's."""
USE = re.compile(r"^[ \t]*(?:pub(?:\([^)]*\))? )?use [^;]*;", re.MULTILINE)
SEVERAL = re.compile(r"\{[^\n\S]*\S|,[^\n\S]*\S")
"""An item of an import in the line of the brace or of another item."""


def rust_files() -> dict[str, str]:
    """Return the Rust code of the kernel's side by path in the checkout; templates as a driver of that name."""
    found = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.rs"))
    }
    for template in Template.all().values():
        for name, text in template.render("mine", "A Name").items():
            if name.endswith(".rs"):
                found[f"templates/{template.name}/{name}"] = text
    return {name: text for name, text in found.items() if not name.startswith(PROGRAMS)}


def check_format(kernel: Kernel, folder: Path) -> None:
    files = sorted(folder.rglob("*.rs"))
    done = kernel.toolchain.run(
        ["rustfmt", "--check", "--edition", "2021", "--config-path", kernel.source / ".rustfmt.toml", *files],
        Grant("test", reads=(folder, kernel.source)),
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_rustfmt(kernel: Kernel) -> None:
    check_format(kernel, resources.rust())


def test_rustfmt_of_labs_templates_and_fixtures(kernel: Kernel, tmp_path: Path) -> None:
    for name, text in rust_files().items():
        if not name.startswith("rust/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    # rustfmt follows `mod` to files, and a starter gets some of the reference answer.
    for lab in Lab.all():
        for inner, path in lab.files().items():
            there = tmp_path / "labs" / lab.folder.name / "starter" / inner
            if inner.suffix == ".rs" and not there.exists():
                shutil.copyfile(path, there)
    check_format(kernel, tmp_path)


def several_in_a_line(text: str) -> list[str]:
    """Return the imports that have several items in a line."""
    return [use for use in USE.findall(text) if SEVERAL.search(re.sub(r"//.*", "", use))]


def test_imports_are_one_in_a_line() -> None:
    """As Documentation/rust/coding-guidelines.rst asks ("Style & formatting"); rustfmt keeps both forms."""
    found = {name: several_in_a_line(text) for name, text in rust_files().items()}
    assert {name: uses for name, uses in found.items() if uses} == {}
    assert {name.split("/")[0] for name in found} == {"rust", "labs", "tests", "templates"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("use kernel::prelude::*;", 0),
        ("use kernel::{\n    pci,\n    prelude::*, // both\n};", 0),
        ("use kernel::{pci, prelude::*};", 1),
        ("pub(crate) use kernel::{\n    pci, prelude::*,\n};", 1),
        ("    pub use kernel::{\n    sync::{Arc,\n    Mutex},\n};", 1),
    ],
)
def test_imports_of_several_in_a_line_are_found(text: str, count: int) -> None:
    assert len(several_in_a_line(text)) == count


@pytest.mark.parametrize("name", DRIVERS)
def test_clippy_and_the_compiler_have_nothing_to_say(kernel: Kernel, tmp_path: Path, name: str) -> None:
    """Test every ready kernel of the tested series, KUnit suites included as far as it has KUnit."""
    folder = tmp_path / name
    shutil.copytree(resources.rust("drivers", name), folder)
    for ready in stock.all_ready(kernel.toolchain):
        if ready.arch != kernel.arch or debian.series_of(ready.release) not in debian.tested_series():
            continue
        lines: list[str] = []
        Module(folder).build_all(ready, say=lines.append, targets=("CLIPPY=1", "R4L_KUNIT=y", "modules"))
        # rustc and clippy begin a line with it, gcc names the place first, modpost shouts.
        said = [line for line in lines if re.search(r"(^|: )(warning|error|fatal error)[:\[]", line, re.IGNORECASE)]
        assert not said, "\n".join(lines)
        assert any("CLIPPY" in line for line in lines), "clippy ran"


def test_what_differs_between_kernels_is_in_one_place() -> None:
    asking = {
        str(path.relative_to(resources.rust()))
        for path in resources.rust().rglob("*")
        # By the whole suffix: what Python compiled lies there too, and is no text.
        if path.suffix in {".rs", ".c", ".h"} and re.search(r"\blinux_\d+_\d+\b|LINUX_VERSION_CODE", path.read_text())
    }
    assert asking == {"kit/src/compat.rs"}


@pytest.fixture(scope="module")
def layout(kernel: Kernel) -> str:
    """The assertions that a build of the kit makes of the C compiler's sizes and offsets."""
    built = Module(resources.rust("drivers", "completion")).build(kernel)
    return (built.path.parent / "r4l/kit_layout.rs").read_text()


def test_the_kit_measures_the_offset_of_each_operation_that_it_sets(layout: str) -> None:
    measured = set(re.findall(r'"offset of (\w+)\.(\w+)"', layout))
    found = set()
    for file in resources.rust("kit/src").rglob("*.rs"):
        text = file.read_text()
        for indent, kind, body in OPERATIONS.findall(text):
            found |= {(kind, field) for field in re.findall(rf"^{indent}    (\w+):", body, re.MULTILINE)}
        for kind, body in FILLED.findall(text):
            found |= {(kind, field) for field in re.findall(r"^ +(?:ops\.)?(\w+)(?: =|:) ", body, re.MULTILINE)}
    assert {kind for kind, _ in found} == {"ethtool_ops", "file_operations", "net_device_ops"}
    assert found <= measured, "c/layout.c; for ethtool_ops crate.mk"


def test_the_kit_measures_the_structures_that_operations_of_ethtool_fill(layout: str) -> None:
    measured = set(re.findall(r'"size of (\w+)"', layout))
    files = sorted(resources.rust("kit/src/net").rglob("*.rs"))
    found = {name for file in files for name in POINTED.findall(file.read_text())}
    assert len(found) > 5
    assert found <= measured, "crate.mk"
    # A structure that the kit does not use yet, with a field whose name is a word of Rust's.
    assert '"offset of ethtool_modinfo.type_"' in layout
    assert '"offset of ethtool_modinfo.eeprom_len"' in layout


def test_each_operation_of_ethtool_is_set_for_drivers_that_have_it() -> None:
    """The others are the core's own functions."""
    ((kind, body),) = FILLED.findall(resources.rust("kit/src/net/ethtool.rs").read_text())
    assert kind == "ethtool_ops"
    outside = re.sub(r"^( +)if [^\n]* \{\n.*?^\1\}\n", "", body, flags=re.MULTILINE | re.DOTALL)
    assert "Some(Self::" in body
    assert "Some(Self::" not in outside
    assert set(re.findall(r"Some\((\w+)::", outside)) == {"bindings"}


@pytest.mark.parametrize("name", [name for name in DRIVERS if name not in UNSAFE])
def test_drivers_have_no_unsafe_code(name: str) -> None:
    folder = resources.rust("drivers", name)
    source = "\n".join(path.read_text() for path in folder.glob("*.rs"))
    assert "#![forbid(unsafe_code)]" in source
    assert not re.search(r"\bunsafe\b(?!_code)", re.sub(r"//.*", "", source))
