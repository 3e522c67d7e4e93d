# SPDX-License-Identifier: MIT
"""Wake-on-LAN: read from the registers of a card while the system sleeps (8254x manual, 6.4 and 13.6).

QEMU's card has no power management capability, so the kernel lets it wake nothing. No card signals PME# to the guest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.eeprom import with_checksum

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

UCAST, MCAST, BCAST, ARP, MAGIC = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
"""WAKE_* of the kernel's include/uapi/linux/ethtool.h."""
WUC, WUFC, RCTL = 0x5800, 0x5808, 0x100
PME_EN = 1 << 1
"""Bit of WUC (13.6.1)."""
MAG, EX, MC, BC = 1 << 1, 1 << 2, 1 << 3, 1 << 4
"""Bits of WUFC (13.6.2)."""
EN, MPE = 1 << 1, 1 << 4
"""Bits of RCTL (13.4.22)."""
CONTROL_3, APM = 0x24, 1 << 10
"""Word of the EEPROM and its bit that enables wake-up by APM (Table 5-2)."""
REFUSED = r"ENOTSUP|EINVAL"
"""Errors of a choice that is impossible, by the driver or by the kernel's core."""
KINDS = [(MAGIC, MAG), (UCAST | MCAST | BCAST, EX | MC | BC)]
SLEEP_SECONDS = 3
Register = Callable[[int], int]

in_python = pytest.mark.machine(nics=["python:e1000"])


def wait_until(seen: Callable[[], bool]) -> None:
    """Wait for a card's registers; the guest cannot tell while it sleeps."""
    until = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.machine(nics=["e1000"])
def test_a_card_without_power_management_wakes_nothing(loaded: r4l.VM, ethtool: Ethtool) -> None:
    if 0 in loaded.cards:
        pytest.skip("the card in Python has power management")
    assert ethtool.wake()[1] == 0
    with pytest.raises(OSError, match=REFUSED):
        ethtool.set_wake(MAGIC)


@in_python
def test_the_user_chooses_among_the_kinds_of_frames(loaded: r4l.VM, ethtool: Ethtool) -> None:
    assert ethtool.wake() == (UCAST | MCAST | BCAST | MAGIC, 0)
    wakeup = "cat /sys/class/net/eth0/device/power/wakeup"
    assert loaded.run(wakeup, check=True).stdout.strip() == "disabled"
    ethtool.set_wake(MAGIC | BCAST)
    assert ethtool.wake()[1] == MAGIC | BCAST
    assert loaded.run(wakeup, check=True).stdout.strip() == "enabled"
    with pytest.raises(OSError, match=REFUSED):
        ethtool.set_wake(ARP)
    assert ethtool.wake()[1] == MAGIC | BCAST
    ethtool.set_wake(0)
    assert loaded.run(wakeup, check=True).stdout.strip() == "disabled"


@in_python
def test_the_eeprom_chooses_at_first(vm: r4l.VM, request: pytest.FixtureRequest) -> None:
    card = vm.cards[0]
    assert isinstance(card, E1000)
    words = list(card.eeprom.words)
    words[CONTROL_3] |= APM
    card.eeprom.words[:] = with_checksum(words)
    # Loads the driver.
    ethtool: Ethtool = request.getfixturevalue("ethtool")
    assert ethtool.wake()[1] == MAGIC


@in_python
@pytest.mark.parametrize("up", [True, pytest.param(False, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("kinds", "filters"), KINDS)
def test_the_card_waits_for_frames_while_the_system_sleeps(
    online: r4l.VM,
    ethtool: Ethtool,
    interface: Interface,
    register: Register,
    gateway: str,
    module: r4l.BuiltModule,
    kinds: int,
    filters: int,
    up: bool,
) -> None:
    ethtool.set_wake(kinds)
    if not up:
        interface.down()
    online.run(f"echo {SLEEP_SECONDS} > /sys/module/suspend/parameters/pm_test_delay", check=True)
    # Not by `run`: its answer may come when the system is awake again.
    with online.popen("echo devices > /sys/power/pm_test && echo freeze > /sys/power/state") as sleep:
        wait_until(lambda: register(WUC) & PME_EN != 0)
        assert register(WUFC) == filters
        assert register(RCTL) & EN
        assert bool(register(RCTL) & MPE) == bool(kinds & MCAST)
        wait_until(lambda: register(WUC) == 0)
        done = sleep.wait_done(60)
    assert done
    assert done.exit_code == 0
    if not up:
        wait_until(lambda: register(RCTL) & EN == 0)
        interface.up(address=None)
    elif module.name == "e1000":
        # The C driver's watchdog may run beside its reset, which leaves the transmitter off (docs/sweep.md).
        interface.wait_for_carrier()
        interface.down()
        interface.up(address=None)
    interface.wait_for_carrier()
    interface.ping(gateway)


@in_python
@pytest.mark.parametrize("kinds", [MAGIC, pytest.param(0, marks=pytest.mark.thorough)])
def test_the_card_waits_for_frames_when_the_system_is_off(
    online: r4l.VM, ethtool: Ethtool, register: Register, kinds: int
) -> None:
    ethtool.set_wake(kinds)
    online.run("(sleep 0.3; halt -f) >/dev/null 2>&1 &", check=True)
    online.klog.wait_for("reboot: System halted", timeout=60)
    wait_until(lambda: register(WUC) == (PME_EN if kinds else 0))
    assert register(WUFC) == (MAG if kinds else 0)
