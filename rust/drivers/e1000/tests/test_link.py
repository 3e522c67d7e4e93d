# SPDX-License-Identifier: MIT
"""Up, down, the cable, two cards: the state given to the network stack and to the card."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import r4l
from r4l import Nic
from r4l.net import Interface
from r4l.testing import interface_of

pytestmark = pytest.mark.machine(nics=["e1000"])

RCTL, TCTL, IMS = 0x100, 0x400, 0xD0
ENABLED = 1 << 1
"""The bit EN of RCTL and TCTL (8254x manual, 13.4.22 and 13.4.33)."""


def test_loading_makes_an_interface_with_the_cards_address(loaded: r4l.VM, interface: Interface) -> None:
    assert loaded.run("ls /sys/class/net").stdout.split() == ["eth0", "lo"]
    assert interface.mac == "52:54:00:12:34:56"


@pytest.mark.row("A9")
def test_down_and_up_again(online: r4l.VM, interface: Interface, gateway: str) -> None:
    for _ in range(5):
        interface.ping(gateway, count=1)
        interface.down()
        interface.up(address=None)
    interface.ping(gateway)


def test_a_card_that_is_down_is_silent(
    online: r4l.VM, interface: Interface, gateway: str, register: Callable[[int], int]
) -> None:
    """Its rings are freed, so it must not receive, send or interrupt."""
    interface.ping(gateway, count=1)
    assert register(RCTL) & ENABLED
    assert register(TCTL) & ENABLED
    until = time.monotonic() + 10
    while not register(IMS):  # they are masked from an interrupt to the end of its poll
        assert time.monotonic() < until
    interface.down()
    assert register(RCTL) & ENABLED == 0
    assert register(TCTL) & ENABLED == 0
    assert register(IMS) == 0


def test_the_cable_is_pulled_and_plugged(online: r4l.VM, interface: Interface, gateway: str) -> None:
    interface.ping(gateway, count=1)
    online.link(0, up=False)
    interface.wait_for_carrier(False)
    online.link(0, up=True)
    interface.wait_for_carrier()
    interface.ping(gateway, count=2)


OTHER_NETWORK = {"net": "10.1.2.0/24", "host": "10.1.2.2", "dns": "10.1.2.3", "dhcpstart": "10.1.2.15"}


@pytest.mark.thorough
@pytest.mark.machine(nics=["e1000", Nic("e1000", options=OTHER_NETWORK)])
def test_two_cards_work_at_once(loaded: r4l.VM) -> None:
    for index, network in enumerate(("10.0.2", "10.1.2")):
        interface_of(loaded, f"eth{index}").up(f"{network}.15/24")
    both = "ping -c20 -i 0.1 -W5 10.0.2.2 > /tmp/a & a=$!; ping -c20 -i 0.1 -W5 10.1.2.2 > /tmp/b; wait $a"
    loaded.run(both, timeout=60, check=True)
    for file in ("/tmp/a", "/tmp/b"):
        assert "20 packets transmitted, 20 packets received, 0% packet loss" in loaded.run(f"cat {file}").stdout
    macs = [interface_of(loaded, name).mac for name in ("eth0", "eth1")]
    assert macs == ["52:54:00:12:34:56", "52:54:00:12:34:57"], "each has the address of its own EEPROM"
