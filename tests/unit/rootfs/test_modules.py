# SPDX-License-Identifier: MIT
"""Modules with their dependencies, from depmod's tables."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.kernel.modules import ModuleTree
from r4l.rootfs import modules
from r4l.toolchain import Toolchain


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    files = {"net/lib.ko.xz": b"lib", "net/mid-dle.ko.xz": b"mid", "net/top.ko.xz": b"top", "crypto/sum.ko": b"sum"}
    for name, data in files.items():
        path = tmp_path / "kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(data) if name.endswith("xz") else data)
    (tmp_path / "modules.dep").write_text(
        "kernel/net/lib.ko.xz:\n"
        "kernel/net/mid-dle.ko.xz: kernel/net/lib.ko.xz\n"
        "kernel/net/top.ko.xz: kernel/net/mid-dle.ko.xz kernel/net/lib.ko.xz\n"
        "kernel/crypto/sum.ko:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    (tmp_path / "modules.softdep").write_text("# made by depmod\nsoftdep lib pre: sum post: absent\n")
    (tmp_path / "modules.alias").write_text("alias pci:v00008086* top\nalias pci:v0000ABCD* other\n")
    return ModuleTree(tmp_path, Toolchain(tmp_path, "none"))


def test_needs_come_before_what_needs_them(tree: ModuleTree) -> None:
    assert [path.rpartition("/")[2] for path in tree.resolve(["top"])] == [
        "sum.ko",
        "lib.ko.xz",
        "mid-dle.ko.xz",
        "top.ko.xz",
    ]


def test_a_module_may_have_several_lines_of_soft_dependencies(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("a.ko:\nb.ko:\nc.ko:\n")
    (tmp_path / "modules.softdep").write_text("softdep c pre: a\nsoftdep c pre: b\n")
    tree = ModuleTree(tmp_path, Toolchain(tmp_path, "none"))
    assert tree.resolve(["c"]) == ["a.ko", "b.ko", "c.ko"]


def test_dash_and_underscore_are_the_same_name(tree: ModuleTree) -> None:
    assert tree.resolve(["mid_dle"]) == tree.resolve(["mid-dle"])


def test_what_is_built_in_needs_no_file(tree: ModuleTree) -> None:
    assert tree.resolve(["virtio-pci"]) == []


def test_unknown_module_names_close_ones(tree: ModuleTree) -> None:
    with pytest.raises(UsageError, match="no module to") as caught:
        tree.resolve(["to"])
    assert "top" in caught.value.remedy


def test_tables_name_only_what_is_packed_and_decompressed(tree: ModuleTree) -> None:
    entries = {entry.name: entry.data for entry in modules.entries(tree, ["mid_dle"], "1.2")}
    assert entries["lib/modules/1.2/kernel/net/lib.ko"] == b"lib"
    assert entries["lib/modules/1.2/kernel/net/mid-dle.ko"] == b"mid"
    dep = entries["lib/modules/1.2/modules.dep"].decode()
    assert "kernel/net/mid-dle.ko: kernel/net/lib.ko\n" in dep
    assert ".xz" not in dep
    assert entries["lib/modules/1.2/modules.alias"] == b""
