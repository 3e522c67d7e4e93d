# SPDX-License-Identifier: MIT
"""Description of a kernel, read from its files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from r4l.kernel import images
from r4l.kernel.abstractions import holds, rust_modules, topics

LIBRARY = """\
pub mod error;
#[cfg(CONFIG_PCI)]
pub mod pci;
#[cfg(CONFIG_DRM = "y")]
pub mod drm;
#[doc(hidden)]
pub mod hidden;
mod private;
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    crate = tmp_path / "rust/kernel"
    (crate / "drm").mkdir(parents=True)
    (crate / "lib.rs").write_text(LIBRARY)
    (crate / "error.rs").write_text("// SPDX\n\n//! Kernel errors.\n//!\n//! More.\n")
    (crate / "pci.rs").write_text(
        "//! PCI.\n\n/// pub trait Driver is told of here only\npub struct X;\npub trait Driver {}\n"
    )
    (crate / "drm/mod.rs").write_text("//! DRM.\n")
    (crate / "drm/driver.rs").write_text("pub trait Driver {}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("CONFIG_A", True),
        ("CONFIG_M", True),
        ("CONFIG_X", False),
        ('CONFIG_A = "y"', True),
        ('CONFIG_M = "y"', False),
        ("not(CONFIG_A)", False),
        ("not(testlib)", True),
        ('all(CONFIG_A, any(CONFIG_X, CONFIG_M = "m"))', True),
        ("all(CONFIG_A, not(CONFIG_M))", False),
    ],
)
def test_conditions_of_the_crate(condition: str, expected: bool) -> None:
    assert holds(condition, {"CONFIG_A": "y", "CONFIG_M": "m"}) is expected


def test_modules_are_on_as_the_configuration_says(tree: Path) -> None:
    modules = {module.name: module for module in rust_modules(tree, {"CONFIG_PCI": "y", "CONFIG_DRM": "m"})}
    assert list(modules) == ["error", "pci", "drm"]
    assert modules["error"].about == "Kernel errors."
    assert modules["pci"].on
    assert not modules["drm"].on
    assert modules["drm"].condition == 'CONFIG_DRM = "y"'


def test_topics_are_found_in_code_and_not_in_comments(tree: Path) -> None:
    found = {topic.name: topic for topic in topics(tree, {"CONFIG_PCI": "y"})}
    assert (found["PCI driver"].state, found["PCI driver"].kernel) == ("kernel", "pci.rs:5")
    assert (found["DRM driver"].state, found["DRM driver"].missing) == ("off", 'CONFIG_DRM = "y"')
    assert found["NAPI"].state == "kit"
    assert found["USB driver"].state == "none"
    assert {topic.name: topic.state for topic in topics(tree, {})}["PCI driver"] == "off"


def test_a_tree_without_rust_has_no_modules(tmp_path: Path) -> None:
    assert rust_modules(tmp_path, {}) == []


@pytest.mark.parametrize("magic", [b"ARM\x64", b"RSC\x05"])
def test_the_header_of_a_flat_image(magic: bytes, tmp_path: Path) -> None:
    image = bytearray(4096)
    struct.pack_into("<QQ", image, 8, 0, 30 * 2**20)
    image[0x38:0x3C] = magic
    (tmp_path / "Image").write_bytes(image)
    described = images.identify(tmp_path / "Image")
    assert (described.kind, described.size) == ("Image", 4096)
    assert "30.0 MiB" in described.about


def test_a_file_that_is_no_kernel(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"short")
    assert images.identify(tmp_path / "x").kind == "unknown"
