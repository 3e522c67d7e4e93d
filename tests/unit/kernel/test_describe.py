# SPDX-License-Identifier: MIT
"""Description of a kernel, read from its files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from r4l.debug import symbols
from r4l.kernel import Kernel, images
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


def _elf() -> bytes:
    """An ELF file with one symbol, as made for gdb."""
    return symbols.elf(b"ffffffff81000000 T _stext\n", cast(Kernel, SimpleNamespace(arch="x86_64")))


def _bzimage() -> bytes:
    """A bzImage of boot protocol 2.15."""
    image = bytearray(0x2000)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<H", image, 0x20E, 0x300)
    image[0x500:0x50C] = b"7.3.0 (x) #1"
    struct.pack_into("<II", image, 0x248, 0x10, 0x2000 - 4 * 512 - 0x10)
    image[4 * 512 + 0x10 : 4 * 512 + 0x14] = b"\x28\xb5\x2f\xfd"
    return bytes(image)


def test_images_that_are_whole(tmp_path: Path) -> None:
    for name, data in (("vmlinux", _elf()), ("bzImage", _bzimage())):
        (tmp_path / name).write_bytes(data)
        assert images.identify(tmp_path / name).kind == name
    assert "entry 0x0, 2 symbols, no debug" in images.identify(tmp_path / "vmlinux").about
    assert "protocol 2.15, version 7.3.0: " in images.identify(tmp_path / "bzImage").about
    assert "packed with zstd (0.0 MiB)" in images.identify(tmp_path / "bzImage").about


@pytest.mark.parametrize("make", [_elf, _bzimage])
def test_images_that_were_cut_off(make: Callable[[], bytes], tmp_path: Path) -> None:
    """Regression: half of a vmlinux or bzImage was a bug in r4l."""
    whole = make()
    for length in (*range(min(0x260, len(whole))), len(whole) // 2, len(whole) - 1):
        (tmp_path / "x").write_bytes(whole[:length])
        found = images.identify(tmp_path / "x")
        assert found.kind == "unknown"
        assert "damaged" in found.about or whole[:length][0x202:0x206] != b"HdrS"


def test_images_with_wrong_bytes(tmp_path: Path) -> None:
    random = Random(1)
    for whole in (_elf(), _bzimage()):
        for _ in range(100):
            damaged = bytearray(whole)
            for _ in range(8):
                damaged[random.randrange(0x260 if random.random() < 0.5 else len(damaged)) % len(damaged)] = 0xFF
            (tmp_path / "x").write_bytes(damaged)
            images.identify(tmp_path / "x")
            symbols.has_symbols(tmp_path / "x")
