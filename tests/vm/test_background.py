# SPDX-License-Identifier: MIT
"""What docs/background.md tells, seen on a running kernel of any architecture."""

from __future__ import annotations

import pytest

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.vm import VM

pytestmark = pytest.mark.vm


@pytest.mark.row("A28")
def test_allocations_can_fail_and_traits_have_objects(kernel: Kernel) -> None:
    module = Module(resources.rust("drivers/alloc_demo")).build(kernel)
    with VM(kernel) as vm:
        vm.insmod(module)
        vm.rmmod(module.name)
        vm.klog.sync()
        lines = [record.text for record in vm.klog.records() if record.text.startswith("alloc_demo: ")]
        assert [line.removeprefix("alloc_demo: ") for line in lines[-6:]] == [
            "squares: [1, 4, 9, 16, 25]",
            "a TiB at once: Some(ENOMEM)",
            "dyn Shape: square of 9, 4 bytes",
            "dyn Shape: rectangle of 10, 8 bytes",
            "a string: 2 shapes",
            "2 shapes are freed with their vector",
        ]
        vm.klog.check()


@pytest.mark.row("A29")
def test_how_the_hardware_is_described(kernel: Kernel) -> None:
    with VM(kernel) as vm:
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
    with VM(kernel) as vm:
        release = vm.run("uname -r").stdout.strip()
        vm.put(hello.path, "/tmp/hello.ko")
        assert vm.run("modinfo -F vermagic /tmp/hello.ko", check=True).stdout.startswith(f"{release} ")
