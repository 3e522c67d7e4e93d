# SPDX-License-Identifier: MIT
"""Readers of a kernel's files: .config, Module.symvers, exports, bzImage."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from r4l.arch import architecture
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import debian
from r4l.kernel.config import read_config
from r4l.kernel.debian import require_rust, version_key
from r4l.kernel.proof import prove, symvers
from r4l.kernel.pvh import payload


def test_config_has_what_is_set(tmp_path: Path) -> None:
    file = tmp_path / ".config"
    file.write_text('# comment\nCONFIG_RUST=y\nCONFIG_E1000=m\nCONFIG_NAME="a b"\n# CONFIG_KASAN is not set\n')
    assert read_config(file) == {"CONFIG_RUST": "y", "CONFIG_E1000": "m", "CONFIG_NAME": "a b"}


def make_build(folder: Path, exported: list[str], packaged: list[str]) -> tuple[Path, Path]:
    (folder / "rust").mkdir(parents=True)
    lines = "".join(f"EXPORT_SYMBOL_RUST_GPL({name});\n" for name in exported)
    (folder / "rust/exports_kernel_generated.h").write_text(lines)
    known = folder / "Module.symvers"
    known.write_text("".join(f"0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL_GPL\t\n" for name in packaged))
    return folder, known


def test_proof_holds_when_every_symbol_is_in_the_packaged_kernel(tmp_path: Path) -> None:
    proof = prove(*make_build(tmp_path, ["_RNvA", "_RNvB"], ["_RNvA", "_RNvB", "printk"]))
    assert proof.holds
    assert str(proof) == "2 of 2 exported Rust symbols match (kernel 2)"


def test_proof_fails_for_one_other_crate_hash(tmp_path: Path) -> None:
    proof = prove(*make_build(tmp_path, ["_RNvA", "_RNvCother"], ["_RNvA", "_RNvC"]))
    assert not proof.holds
    assert proof.missing == ("_RNvCother",)


def test_proof_of_nothing_does_not_hold(tmp_path: Path) -> None:
    assert not prove(*make_build(tmp_path, [], ["printk"])).holds


def test_symvers_names_the_owner(tmp_path: Path) -> None:
    _, file = make_build(tmp_path, [], ["printk"])
    assert symvers(file) == {"printk": "vmlinux"}


def test_kernel_without_rust_is_refused_with_the_reason(tmp_path: Path) -> None:
    headers = tmp_path / "usr/src/linux-headers-6.12.1-amd64"
    headers.mkdir(parents=True)
    (headers / ".config").write_text("CONFIG_MODULES=y\n# CONFIG_RUST is not set\n")
    with pytest.raises(UsageError, match="built without Rust") as caught:
        require_rust(tmp_path, "6.12.1-amd64")
    assert "newer kernel" in caught.value.remedy


def test_releases_are_ordered_by_number() -> None:
    names = ["7.2.9+deb13-amd64", "7.2.12+deb13-amd64", "6.12.107+deb13-amd64"]
    assert sorted(names, key=version_key) == [names[2], names[0], names[1]]


def test_a_tested_series_is_preferred_to_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "tested_series", lambda: ("7.1", "7.2"))
    names = [
        "6.12.107+deb13-amd64",
        "7.3.4+deb13-amd64",
        "7.1.9+deb13-amd64",
        "7.2.11+deb13-amd64",
        "7.2.9+deb13-amd64",
    ]
    assert max(names, key=debian.preference) == "7.2.11+deb13-amd64"
    assert max(names[:2], key=debian.preference) == "7.3.4+deb13-amd64", "the newest where no tested one is left"


def test_payload_of_a_bzimage() -> None:
    image = bytearray(0x4000)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<II", image, 0x248, 0x10, 5)
    image[4 * 512 + 0x10 : 4 * 512 + 0x15] = b"hello"
    assert payload(bytes(image)) == b"hello"


def test_an_image_that_is_no_bzimage() -> None:
    with pytest.raises(EnvironmentFault, match="not a bzImage"):
        payload(bytes(4096))


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown architecture pdp11") as caught:
        architecture("pdp11")
    assert "x86_64" in caught.value.remedy
