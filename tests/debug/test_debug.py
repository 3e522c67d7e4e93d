# SPDX-License-Identifier: MIT
"""Every driver of the project under the checkers of the debug kernel: `pytest tests/debug --kernel debug`."""

from __future__ import annotations

import pytest

from r4l import resources
from r4l.demo.bench import NETWORK, Bench
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
DRIVERS = sorted(path.name for path in resources.rust("drivers").iterdir() if (path / "Kbuild").exists())
CYCLES = 20
KMEMLEAK = "/sys/kernel/debug/kmemleak"


@pytest.fixture(autouse=True)
def _with_checkers(kernel: Kernel) -> None:
    assert kernel.config.get("CONFIG_KASAN") == "y", "these tests need --kernel debug"


def leaks(vm: VM) -> str:
    """What kmemleak finds: objects 5 s old, unreferenced in one scan and unchanged in the next.

    Source: mm/kmemleak.c (MSECS_MIN_AGE, update_checksum), Documentation/dev-tools/kmemleak.rst.
    """
    scan = f"echo scan >{KMEMLEAK}"
    vm.run(f"sleep 6; {scan} && {scan} && {scan}", timeout=180, check=True)
    return vm.run(f"cat {KMEMLEAK}", check=True).stdout


def cleared(vm: VM) -> None:
    """What the boot itself left is not the driver's."""
    vm.run(f"test -d /sys/kernel/debug/tracing || mount -t debugfs none /sys/kernel/debug; echo clear >{KMEMLEAK}")


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_loads_and_unloads_twenty_times(kernel: Kernel, name: str) -> None:
    module = Module(resources.rust("drivers", name)).build(kernel)
    with VM(kernel, nics=[Nic("e1000", options=NETWORK)]) as vm:
        cleared(vm)
        for _ in range(CYCLES):
            vm.insmod(module)
            vm.rmmod(module.name)
        assert leaks(vm) == ""
        vm.klog.check()


@pytest.mark.row("A25")
def test_traffic_and_reloads_leak_nothing(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> None:
    with VM(kernel, nics=[Nic("e1000", options=NETWORK)]) as vm:
        cleared(vm)
        bench = Bench(vm, kernel, hello, e1000)
        bench.begin()
        for _ in range(CYCLES):
            bench.load(e1000)
            bench.up()
            bench.ping("10.0.2.2", count=2)
            vm.rmmod(e1000.name)
        assert "0000:00" not in bench.run("grep -i e1000 /proc/interrupts /proc/iomem || true")
        assert leaks(vm) == ""
        vm.klog.check()


def test_kmemleak_does_find_a_leak(kernel: Kernel) -> None:
    """The check above can fail: the kernel's own test module leaks on purpose."""
    assert kernel.config.get("CONFIG_SAMPLE_KMEMLEAK") == "m"
    with VM(kernel, modules=["kmemleak-test"]) as vm:
        cleared(vm)
        vm.run("modprobe kmemleak-test", check=True)
        vm.run("rmmod kmemleak_test", check=True)
        assert "unreferenced object" in leaks(vm)
