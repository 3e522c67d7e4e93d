# SPDX-License-Identifier: MIT
"""Loading and unloading, also under load: all resources are released."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import r4l
from r4l.net import Interface
from r4l.testing import Leaks

pytestmark = pytest.mark.machine(nics=["e1000"])


Reload = Callable[[int], None]


@pytest.fixture
def reload(vm: r4l.VM, module: r4l.BuiltModule, gateway: str) -> Reload:
    """Load the driver, bring its interface up and down, and unload it, as often as given; each tenth time with a
    ping."""
    vm.put(module.path, "/tmp/driver.ko")
    vm.run("ip link set lo up", check=True)
    load = "insmod /tmp/driver.ko && ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0"
    unload = f"ip link set eth0 down && rmmod {module.name} || exit 1"
    ping = (
        f"{{ until grep -q 1 /sys/class/net/eth0/carrier; do usleep 20000; done; ping -c1 -W10 {gateway}; }} >/dev/null"
    )
    ten = f"{load} && {ping} && {unload}; for j in $(seq 9); do {load} && {unload}; done"

    def run(times: int) -> None:
        vm.run(f"for i in $(seq {times // 10}); do {ten}; done", timeout=900, check=True)

    return run


@pytest.mark.row("A25")
@pytest.mark.timeout(900)
def test_reloads_leave_nothing(leaks: Leaks, reload: Reload) -> None:
    leaks.across_rounds(reload, rounds=2, times=10)


@pytest.mark.thorough
@pytest.mark.row("A25")
@pytest.mark.timeout(1800)
def test_a_hundred_reloads_leave_nothing(leaks: Leaks, reload: Reload) -> None:
    leaks.across_rounds(reload)


def test_traffic_leaves_nothing(
    vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks, interface: Interface, gateway: str
) -> None:
    with leaks():
        vm.insmod(module)
        interface.up()
        interface.ping(gateway, count=3, size=4000)
        vm.rmmod(module.name)


def test_unload_under_traffic(online: r4l.VM, module: r4l.BuiltModule, gateway: str) -> None:
    online.run(f"ping -i 0.01 -s 1000 {gateway} >/dev/null 2>&1 & sleep 1; rmmod {module.name} && wait", check=True)
    assert online.run("ls /sys/class/net").stdout.split() == ["lo"]
