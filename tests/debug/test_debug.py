# SPDX-License-Identifier: MIT
"""Every driver of the project under the checkers of the debug kernel: `pytest tests/debug --kernel debug`.

`E1000_SOAK_CYCLES` says how often one program of the guest loads, pings and unloads the e1000.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from r4l import resources
from r4l.arch import architecture
from r4l.camp.demo.rig import NETWORK
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Interface, Nic
from r4l.net.addresses import GATEWAY, GUEST_ADDRESS
from r4l.rootfs.program import FLAGS
from r4l.testing import LeakFound, Leaks
from r4l.testing.leaks import lost_objects
from r4l.toolchain import Grant
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
DRIVERS = sorted(path.name for path in resources.rust("drivers").iterdir() if (path / "Kbuild").exists())
FIXTURES = Path(__file__).parents[1] / "fixtures"
CYCLES = 20
SOAK_CYCLES = int(os.environ.get("E1000_SOAK_CYCLES", str(CYCLES)))
CHUNK = 100
"""Cycles between two looks at the kernel's log."""
ADDRESS = GUEST_ADDRESS.partition("/")[0]


@pytest.fixture(autouse=True)
def _with_checkers(kernel: Kernel) -> None:
    assert kernel.config.get("CONFIG_KASAN") == "y", "these tests need --kernel debug"


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.machine(nics=[Nic("e1000", options=NETWORK)])
def test_a_driver_loads_and_unloads_twenty_times(kernel: Kernel, vm: VM, leaks: Leaks, name: str) -> None:
    module = Module(resources.rust("drivers", name)).build(kernel)
    assert leaks.kmemleak
    with leaks():
        for _ in range(CYCLES):
            vm.insmod(module)
            vm.rmmod(module.name)


@pytest.fixture(scope="session")
def cycles(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cycles.rs`, for the guest."""
    folder, source = tmp_path_factory.mktemp("cycles"), Path(__file__).with_name("cycles.rs")
    kernel.toolchain.run(
        ["rustc", *FLAGS, *architecture(kernel.arch).rustc, "-o", folder / "cycles", source],
        Grant("test", writes=(folder,), reads=(source,)),
    )
    return folder / "cycles"


@pytest.mark.row("A25")
@pytest.mark.timeout(1800 + 30 * SOAK_CYCLES)
@pytest.mark.machine(nics=[Nic("e1000", options=NETWORK)])
def test_traffic_and_reloads_leak_nothing(vm: VM, leaks: Leaks, interface: Interface, e1000: BuiltModule) -> None:
    with leaks():
        for _ in range(CYCLES):
            vm.insmod(e1000)
            interface.up()
            interface.ping("10.0.2.2", count=2)
            interface.down()
            vm.rmmod(e1000.name)


@pytest.mark.timeout(1800 + 30 * SOAK_CYCLES)
@pytest.mark.machine(nics=[Nic("e1000", capture=False)])
def test_thousands_of_reloads_leak_nothing(vm: VM, leaks: Leaks, e1000: BuiltModule, cycles: Path) -> None:
    """One program of the guest does it all, at a fifth of the cost."""
    vm.put(cycles, "/tmp/cycles", 0o755)
    vm.put(e1000.path, "/tmp/driver.ko")
    done = 0
    with leaks():
        while done < SOAK_CYCLES:
            count = min(CHUNK, SOAK_CYCLES - done)
            program = ["/tmp/cycles", "/tmp/driver.ko", e1000.name, "eth0", ADDRESS, GATEWAY, str(count)]
            assert vm.run(program, timeout=60 * count, check=True).stdout == f"{count}\n"
            vm.klog.check()
            done += count
            print(f"{done} of {SOAK_CYCLES} cycles")


@pytest.mark.machine(modules=["kmemleak-test"])
@pytest.mark.klog_allow("kmemleak", reason="the module leaks on purpose")
def test_kmemleak_does_find_a_leak(kernel: Kernel, vm: VM, leaks: Leaks) -> None:
    """The check above can fail: the kernel's own test module leaks on purpose."""
    assert kernel.config.get("CONFIG_SAMPLE_KMEMLEAK") == "m"
    with pytest.raises(LeakFound, match="kmemleak found unreferenced memory"), leaks():
        vm.run("modprobe kmemleak-test && rmmod kmemleak_test", check=True)


@pytest.mark.klog_allow("kmemleak", reason="the module loses memory on purpose")
def test_one_search_finds_every_lost_object(kernel: Kernel, vm: VM, leaks: Leaks) -> None:
    """One of each size of kmalloc's caches. Of some, kmemleak took the pointer in a cache's sheaf for a reference."""
    module = Module(FIXTURES / "lost").build(kernel)
    vm.insmod(module)
    vm.rmmod(module.name)
    found = [one for one in lost_objects(leaks.unreferenced()) if 'comm "insmod"' in one.text]
    sizes = [int(match[1]) for one in found if (match := re.search(r"\(size (\d+)\)", one.text))]
    assert sorted(sizes) == [8 << shift for shift in range(11)]
