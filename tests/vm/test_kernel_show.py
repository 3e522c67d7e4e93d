# SPDX-License-Identifier: MIT
"""`r4l kernel show` of the kernel in use agrees with that kernel's own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from r4l.cli.kernel import command
from r4l.kernel import Kernel
from r4l.kernel.describe import describe
from r4l.vm import VM


def show(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.row("A33")
def test_the_abstractions_of_this_kernel_and_of_the_kit(kernel: Kernel) -> None:
    data = json.loads(show("--json"))
    topics = {topic["name"]: topic for topic in data["topics"]}
    assert topics["PCI driver"]["state"] == "kernel"
    assert topics["NAPI"]["state"] == "kit"
    for topic in topics.values():
        if topic["kernel"]:
            name, _, line = topic["kernel"].partition(":")
            assert (kernel.source / "rust/kernel" / name).read_text().count("\n") >= int(line)
    # A module that is on was compiled into the kernel, one that is off was not.
    modules = {module["name"]: module["on"] for module in data["rust_modules"]}
    symbols = (kernel.build / "Module.symvers").read_text()
    for name in ("pci", "platform", "workqueue", "usb", "drm"):
        assert (f"_6kernel{len(name)}{name}" in symbols.replace("NtB", "N")) is modules[name], name


@pytest.mark.row("C1")
@pytest.mark.vm
def test_vmlinux_is_an_elf_and_bzimage_holds_it_packed(kernel: Kernel) -> None:
    vmlinux, bzimage = describe(kernel).images
    assert vmlinux.kind == "vmlinux"
    assert vmlinux.path.read_bytes()[:4] == b"\x7fELF"
    assert "PVH" in vmlinux.about
    assert bzimage.kind == "bzImage"
    assert kernel.release in bzimage.about
    assert bzimage.size < vmlinux.size
    with VM(kernel, snapshot=True) as vm:
        assert vm.run("uname -r").stdout.strip() == kernel.release


def test_options_are_those_of_the_configuration(kernel: Kernel) -> None:
    options = json.loads(show("--json"))["options"]
    assert options["CONFIG_RUST"] == "y"
    assert options["CONFIG_E1000"] == "m"
    assert options["CONFIG_KASAN"] == "n"
    assert "CONFIG_KASAN" not in kernel.config


def test_the_page_stands_alone(kernel: Kernel, tmp_path: Path) -> None:
    show("--page", str(tmp_path / "kernel.html"))
    page = (tmp_path / "kernel.html").read_text()
    assert f"Linux {kernel.release}" in page
    assert "kernel::pci" in page
    assert "src=" not in page
    assert "http" not in page.partition("<main")[2]
