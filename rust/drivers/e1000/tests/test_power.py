# SPDX-License-Identifier: MIT
"""Suspend, resume, shutdown: the card works afterwards, or is silent."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import r4l
from r4l.net import Interface

pytestmark = pytest.mark.machine(nics=["e1000"])

LEVELS = ("devices", "platform")
"""Last step of a suspend before it is undone: with `platform` the card's power is off, and its configuration lost."""
RCTL, TCTL = 0x100, 0x400
ENABLED = 1 << 1
"""EN, of RCTL and of TCTL (8254x manual, 13.4.22 and 13.4.33)."""


def suspend(vm: r4l.VM, level: str) -> None:
    """Suspend and resume (Documentation/power/basic-pm-debugging.rst)."""
    vm.run(f"echo {level} > /sys/power/pm_test && echo freeze > /sys/power/state", timeout=60, check=True)


@pytest.fixture
def sleepy(online: r4l.VM) -> r4l.VM:
    """A machine with the interface up, which resumes at once."""
    online.run("echo 0 > /sys/module/suspend/parameters/pm_test_delay", check=True)
    return online


def test_ping_after_suspend_and_resume(sleepy: r4l.VM, interface: Interface, gateway: str) -> None:
    interface.ping(gateway, count=1)
    for level in LEVELS:
        suspend(sleepy, level)
        interface.wait_for_carrier()
        interface.ping(gateway)


def test_a_suspended_interface_that_is_down_stays_down(sleepy: r4l.VM, interface: Interface, gateway: str) -> None:
    interface.down()
    suspend(sleepy, LEVELS[-1])
    assert sleepy.run(f"cat /sys/class/net/{interface.name}/operstate").stdout.strip() == "down"
    interface.up(address=None)
    interface.ping(gateway)


def test_suspend_under_traffic(sleepy: r4l.VM, interface: Interface, module: r4l.BuiltModule, gateway: str) -> None:
    sleepy.run(f"ping -A -s 1000 {gateway} >/dev/null 2>&1 &", check=True)
    suspend(sleepy, LEVELS[-1])
    interface.wait_for_carrier()
    sleepy.run("kill $(pidof ping)", check=True)
    interface.ping(gateway)
    sleepy.rmmod(module.name)


def test_a_card_is_silent_when_the_system_is_halted(
    online: r4l.VM, module: r4l.BuiltModule, interface: Interface, gateway: str, register: Callable[[int], int]
) -> None:
    """A write of the card to memory then would hit the kernel that comes next (kexec)."""
    if module.name == "e1000":
        pytest.skip("the C driver leaves the receiver on, for wake-on-LAN")
    if online.kernel.arch == "riscv64":
        pytest.skip("RISC-V's kernel powers off where it is to halt (arch/riscv/kernel/reset.c)")
    interface.ping(gateway, count=1)
    assert register(RCTL) & ENABLED
    online.run("(sleep 0.3; halt -f) >/dev/null 2>&1 &", check=True)
    online.klog.wait_for("reboot: System halted", timeout=30)
    deadline = time.monotonic() + 10
    while register(RCTL) & ENABLED and time.monotonic() < deadline:
        time.sleep(0.1)
    assert register(RCTL) & ENABLED == 0
    assert register(TCTL) & ENABLED == 0
