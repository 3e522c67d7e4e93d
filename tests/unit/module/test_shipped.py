# SPDX-License-Identifier: MIT
"""Modules of the kernel's own, with those that must be loaded before them."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from r4l.cli.run import modules_of
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.module.named import labels, named
from r4l.module.order import in_load_order
from r4l.module.shipped import shipped, with_kernels_own
from r4l.stages import Stages
from r4l.toolchain import Toolchain


def ko(name: str, depends: str = "", *more: str) -> bytes:
    """The least ELF file that has a `.modinfo` (elf(5): header, sections, table of sections)."""
    info = "\0".join([f"name={name}", f"depends={depends}", "vermagic=1.2 SMP", *more, ""]).encode()
    names = b"\0.modinfo\0.shstrtab\0"
    head, row = "<16sHHIQQQIHHHHHH", "<IIQQQQIIQQ"
    at = struct.calcsize(head)
    table = at + len(info) + len(names)
    data = struct.pack(head, b"\x7fELF\2\1\1", 1, 62, 1, 0, 0, table, 0, at, 0, 0, struct.calcsize(row), 3, 2)
    data += info + names + struct.pack(row, *[0] * 10)
    data += struct.pack(row, 1, 1, 0, 0, at, len(info), 0, 0, 1, 0)
    return data + struct.pack(row, 10, 3, 0, 0, at + len(info), len(names), 0, 0, 1, 0)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel with modules that need each other: by symbols, by MODULE_SOFTDEP before, and after."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    files = {
        "failover": ko("failover"),
        "net_failover": ko("net_failover", "failover"),
        "virtio_net": ko("virtio_net", "net_failover,failover"),
        "i2c-algo-bit": ko("i2c_algo_bit"),
        "igb": ko("igb", "i2c-algo-bit"),
        "realtek": ko("realtek"),
        "r8169": ko("r8169", "", "softdep=pre: realtek"),
        "handler": ko("handler", "", "softdep=post: devintf"),
        "devintf": ko("devintf", "handler"),
    }
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.ko.xz").write_bytes(lzma.compress(data))
    (folder / "modules.dep").write_text(
        "failover.ko.xz:\n"
        "net_failover.ko.xz: failover.ko.xz\n"
        "virtio_net.ko.xz: net_failover.ko.xz failover.ko.xz\n"
        "i2c-algo-bit.ko.xz:\n"
        "igb.ko.xz: i2c-algo-bit.ko.xz\n"
        "realtek.ko.xz:\n"
        "r8169.ko.xz:\n"
        "handler.ko.xz:\n"
        "devintf.ko.xz: handler.ko.xz\n"
    )
    (folder / "modules.softdep").write_text("softdep r8169 pre: realtek\nsoftdep handler post: devintf\n")
    (folder / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    return Kernel(
        release="1.2", version="", arch="x86_64", build=tmp_path, source=tmp_path, image=tmp_path, vmlinux=tmp_path,
        modules=folder, toolchain=Toolchain(tmp_path, "key"), manifest={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("failover", []),
        ("virtio_net", ["failover", "net_failover"]),
        ("virtio-net", ["failover", "net_failover"]),
        ("igb", ["i2c_algo_bit"]),
        ("r8169", ["realtek"]),
        ("handler", []),
        ("devintf", ["handler"]),
    ],
)
def test_a_module_comes_with_those_that_it_needs(kernel: Kernel, name: str, before: list[str]) -> None:
    module = shipped(kernel, name)
    assert module.name == name.replace("-", "_")
    assert [one.name for one in module.needs] == before
    assert all(one.path.is_file() and one.path.suffix == ".ko" for one in (module, *module.needs))


def test_a_module_without_a_file_is_refused(kernel: Kernel) -> None:
    with pytest.raises(UsageError, match="virtio_pci is built into the kernel") as caught:
        shipped(kernel, "virtio_pci")
    assert "modules=" not in caught.value.remedy
    with pytest.raises(UsageError, match="no module virtio_ne"):
        named(kernel, "kernel:virtio_ne")


def built(folder: Path, *arguments: str) -> BuiltModule:
    path = folder / f"{arguments[0]}.ko"
    path.write_bytes(ko(*arguments))
    return BuiltModule(path)


def test_an_author_s_module_comes_with_the_kernel_s_that_it_needs(kernel: Kernel, tmp_path: Path) -> None:
    def before(module: BuiltModule) -> list[str]:
        return [one.name for one in with_kernels_own(kernel, module).needs]

    assert before(built(tmp_path, "mine", "net_failover")) == ["failover", "net_failover"]
    assert before(built(tmp_path, "mine", "i2c-algo-bit")) == ["i2c_algo_bit"]
    assert before(built(tmp_path, "mine", "", "softdep=pre: realtek")) == ["realtek"]
    assert before(built(tmp_path, "mine", "virtio_pci,nobody's")) == []
    # The author's own comes in the place of the kernel's of that name.
    own = built(tmp_path, "failover", "i2c-algo-bit")
    mine = BuiltModule(built(tmp_path, "mine", "net_failover,failover").path, needs=(own,))
    assert before(mine) == ["i2c_algo_bit", "failover", "net_failover"]
    assert own in with_kernels_own(kernel, mine).needs


def test_a_ko_file_given_to_run_comes_with_them(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BuiltModule, "check", lambda *_: None)
    path = built(tmp_path, "mine", "virtio_net").path
    [module] = modules_of(path, kernel, Stages(), {})
    assert [one.name for one in module.needs] == ["failover", "net_failover", "virtio_net"]


@pytest.mark.parametrize(
    ("others", "driver"),
    [
        ([("mine",)], "mine"),
        ([("base",), ("mine", "base")], "mine"),
        ([("base",), ("mine", "base", "alias=pci:v00001234d*sv*sd*bc*sc*i*"), ("check",)], "mine"),
        ([("check",), ("mine", "", "alias=pci:v00001234d*sv*sd*bc*sc*i*"), ("dt", "", "alias=of:N*T*Cmine")], "mine"),
    ],
)
def test_the_driver_of_a_folder_with_several_modules(
    others: list[tuple[str, ...]], driver: str, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That which no other one needs, or which is for a PCI device."""
    monkeypatch.setattr(
        Module, "build_all", lambda *_, **__: in_load_order([built(tmp_path, *words) for words in others])
    )
    module = named(kernel, str(tmp_path))
    assert module.name == driver
    assert [one.name for one in module.needs] == [one for one in others_of(others, driver) if one]


def others_of(modules: list[tuple[str, ...]], driver: str) -> list[str]:
    """Names that a module depends on."""
    return next(words[1] if len(words) > 1 else "" for words in modules if words[0] == driver).split(",")


@pytest.mark.parametrize("alias", ["", "alias=pci:v00001234d*sv*sd*bc*sc*i*"])
def test_a_folder_with_several_drivers(
    alias: str, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Module,
        "build_all",
        lambda *_, **__: in_load_order([built(tmp_path, name, "base", alias) for name in ("one", "two")]),
    )
    with pytest.raises(UsageError, match="builds 2 modules that no other one needs: one, two"):
        named(kernel, str(tmp_path))


def test_two_drivers_have_two_labels(tmp_path: Path) -> None:
    nic, other = built(tmp_path, "my_nic"), built(tmp_path, "other")
    assert labels(["a", "b"], [nic, other]) == ["my_nic", "other"]
    assert labels(["my_nic", "kernel:my_nic"], [nic, nic]) == ["my_nic", "kernel:my_nic"]
    assert labels([".", "../old"], [nic, nic]) == ["my_nic", "../old"]
    assert labels(["/old/my_nic", "my_nic"], [nic, nic]) == ["/old/my_nic", "my_nic"]
    assert labels([".", "."], [nic, nic]) == ["my_nic", "my_nic (2)"]
    assert labels(["my_nic", "my_nic"], [nic, nic]) == ["my_nic", "my_nic (2)"]
    assert labels(["."], [nic]) == ["my_nic"]
