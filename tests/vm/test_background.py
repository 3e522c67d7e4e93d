# SPDX-License-Identifier: MIT
"""Statements of docs/background.md, verified on a running kernel of any architecture."""

from __future__ import annotations

import pytest

from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.vm import VM

pytestmark = pytest.mark.vm


@pytest.mark.row("A29")
def test_how_the_hardware_is_described(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        tables = vm.run("ls /sys/firmware/acpi/tables").stdout.split()
        tree = vm.run("cat /proc/device-tree/compatible").stdout
        assert vm.run("ls /sys/bus/platform/devices").stdout.split(), "what no bus can find"
        order = [vm.run(f"dmesg | grep -n -m1 '{line}'").stdout for line in ("Linux version", "Run /init")]
    assert [int(line.partition(":")[0]) for line in order] == sorted(int(line.partition(":")[0]) for line in order)
    if kernel.arch == "x86_64":
        assert {"DSDT", "FACP", "APIC"} <= set(tables)
        assert tree == ""
    else:
        assert tree.startswith("linux,dummy-virt")


@pytest.mark.row("C2")
def test_what_makes_a_file_a_module(kernel: Kernel, hello: BuiltModule) -> None:
    assert hello.path.read_bytes()[:4] == b"\x7fELF"
    assert hello.modinfo["license"] == ["GPL"]
    assert hello.vermagic == kernel.vermagic
    with VM(kernel, snapshot=True) as vm:
        release = vm.run("uname -r").stdout.strip()
        vm.put(hello.path, "/tmp/hello.ko")
        assert vm.run("modinfo -F vermagic /tmp/hello.ko", check=True).stdout.startswith(f"{release} ")
