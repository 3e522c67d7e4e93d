# SPDX-License-Identifier: MIT
"""The PHY does what the user chose, also when it has lost its settings meanwhile; and pause frames follow the link."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface
from r4l.pci.faults import Fault
from r4l.pci.models.e1000 import E1000
from r4l.pci.models.e1000.phy import PARTNER, PARTNER_ABILITY, SPECIFIC_CONTROL

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

pytestmark = pytest.mark.machine(nics=["python:e1000"])

GPAUSEPARAM, SPAUSEPARAM = 0x12, 0x13
GMIIPHY, SMIIREG = 0x8947, 0x8949
CTRL, MANC = 0x00, 0x5820
RFCE, TFCE = 1 << 27, 1 << 28
"""Bits of CTRL: pause frames are obeyed, and sent (8254x manual, 13.4.1)."""
SMBUS_EN = 1
"""Bit of MANC: a management controller is connected."""
HALF_100, FULL_100, FULL_1000 = 1 << 2, 1 << 3, 1 << 5
"""ADVERTISED_*, as bits."""
PAUSES = 1 << 10
"""Bit of the partner's ability: symmetric pause (IEEE 802.3, table 28B-2)."""
Register = Callable[[int], int]


@pytest.fixture
def card(online: r4l.VM) -> E1000:
    """The card, with its interface up."""
    card = online.cards[0]
    assert isinstance(card, E1000)
    return card


def wait_until(seen: Callable[[], bool]) -> None:
    """Wait for something that drivers do within seconds."""
    until = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_forced_mode_is_forced_again_after_the_phy_has_lost_it(
    card: E1000, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    """As in a suspend that takes its power."""
    if module.name == "e1000":
        pytest.skip("the C driver tells the PHY when the interface goes down, and not when it goes up")
    ethtool.set_link(autoneg=False, speed=100, full=True)
    interface.wait_for_carrier()
    interface.down()
    card.call(card.phy.power_on)
    card.call(card.phy.begin)
    interface.up(address=None)
    interface.wait_for_carrier()
    assert card.phy.speed == 100
    assert ethtool.settings()[2:] == (100, 0)
    interface.ping(gateway, count=1)


def test_a_forced_mode_is_forced_again_after_a_self_test(
    card: E1000, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the card fails the C driver's tests of registers and of the loopback")
    ethtool.set_link(autoneg=False, speed=100, full=True)
    interface.wait_for_carrier()
    _, results = ethtool.self_test(offline=True)
    assert set(results.values()) == {0}, results
    interface.wait_for_carrier()
    assert card.phy.speed == 100
    assert ethtool.settings()[2:] == (100, 0)
    interface.ping(gateway, count=1)


CROSSOVER = 3 << 5
"""Field of the PHY's register 16: the kind of the cable is found out (13.4.7.1.13)."""


def test_a_forced_mode_takes_effect_while_there_is_a_link(
    card: E1000, ethtool: Ethtool, interface: Interface, gateway: str
) -> None:
    """Speed, duplex mode and crossover change with a reset of the PHY, or with a negotiation (11.1.3); a forced mode
    does not find out the kind of the cable (11.6.2)."""
    phy = card.phy
    for speed, full in ((100, True), (10, False)):
        ethtool.set_link(autoneg=False, speed=speed, full=full)
        wait_until(lambda speed=speed, full=full: (phy.speed, phy.full_duplex) == (speed, full))  # type: ignore[misc]
        assert not phy.registers[SPECIFIC_CONTROL] & CROSSOVER
        interface.wait_for_carrier()
        interface.ping(gateway, count=1)
    ethtool.set_link(autoneg=True, advertising=FULL_100 | FULL_1000)
    wait_until(lambda: phy.speed == 1000)
    assert phy.registers[SPECIFIC_CONTROL] & CROSSOVER == CROSSOVER
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)


def test_settings_that_the_phy_did_not_take_are_not_kept(
    card: E1000, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver does not look whether the PHY answers")
    settings, pauses = ethtool.settings(), ethtool.ask(GPAUSEPARAM, bytes(12))
    number = f"/tmp/relay eth0 {GMIIPHY} {struct.pack('<HHHH', 0, 0, 0, 0).hex()}"
    card.faults.add(Fault("all-ones", "MDIC", times=0))
    with pytest.raises(OSError, match="EIO"):
        ethtool.set_link(autoneg=False, speed=100, full=True)
    with pytest.raises(OSError, match="EIO"):
        ethtool.ask(SPAUSEPARAM, struct.pack("<III", 1, 1, 1))
    assert ethtool.vm.run(number, check=True).stdout.startswith("0100")
    card.faults.clear()
    assert (ethtool.settings(), ethtool.ask(GPAUSEPARAM, bytes(12))) == (settings, pauses)
    interface.ping(gateway, count=1)


def test_a_mode_that_is_forced_by_mii_tool_takes_effect(
    card: E1000, ethtool: Ethtool, interface: Interface, gateway: str
) -> None:
    ethtool.vm.run(f"/tmp/relay eth0 {SMIIREG} {struct.pack('<HHHH', 1, 0, 0x2100, 0).hex()}", check=True)
    wait_until(lambda: (card.phy.speed, card.phy.full_duplex) == (100, True))
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)


def test_the_loopback_is_one_of_a_forced_mode(
    card: E1000, ethtool: Ethtool, module: r4l.BuiltModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PHY does not negotiate in loopback (13.4.1)."""
    if module.name == "e1000":
        pytest.skip("the card fails the C driver's tests of registers and of the loopback")
    loops: list[tuple[bool, int]] = []
    receive = card.receive

    def watched(frame: bytes, **words: bool) -> None:
        if card.phy.loops:
            loops.append((card.phy.negotiates, card.phy.speed))
        receive(frame, **words)

    monkeypatch.setattr(card, "receive", watched)
    _, results = ethtool.self_test(offline=True)
    assert set(results.values()) == {0}, results
    assert set(loops) == {(False, 1000)}


@pytest.mark.thorough
def test_settings_of_another_driver_do_not_stay(
    vm: r4l.VM, module: r4l.BuiltModule, interface: Interface, gateway: str
) -> None:
    card = vm.cards[0]
    assert isinstance(card, E1000)
    card.call(card.phy.write, 0, 0x2100)
    vm.insmod(module)
    interface.up()
    interface.wait_for_carrier()
    assert card.phy.speed == 1000
    interface.ping(gateway, count=1)


@pytest.mark.thorough
def test_negotiated_pauses_are_those_of_each_link(
    card: E1000,
    ethtool: Ethtool,
    interface: Interface,
    gateway: str,
    register: Register,
    module: r4l.BuiltModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pauses() -> bool:
        return register(CTRL) & (RFCE | TFCE) == RFCE | TFCE

    monkeypatch.setitem(PARTNER_ABILITY, PARTNER, PARTNER_ABILITY[PARTNER] | PAUSES)
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 1, 1, 1))
    wait_until(pauses)
    for _ in range(2):
        interface.down()
        interface.up(address=None)
        wait_until(pauses)
    interface.ping(gateway, count=1)
    if module.name == "e1000":
        pytest.skip("the C driver takes the wish, and keeps the pauses, without a negotiation")
    ethtool.set_link(autoneg=False, speed=100, full=True)
    wait_until(lambda: not register(CTRL) & (RFCE | TFCE))
    with pytest.raises(OSError, match="EINVAL"):
        ethtool.ask(SPAUSEPARAM, struct.pack("<III", 1, 1, 0))
    assert struct.unpack("<III", ethtool.ask(GPAUSEPARAM, bytes(12))) == (1, 1, 1)
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 0, 1, 0))
    assert register(CTRL) & (RFCE | TFCE) == RFCE


@pytest.mark.parametrize(("rx", "tx", "bits"), [(1, 0, RFCE), (0, 1, TFCE)])
def test_pauses_of_one_direction(
    card: E1000, ethtool: Ethtool, interface: Interface, register: Register, rx: int, tx: int, bits: int
) -> None:
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 0, rx, tx))
    wait_until(lambda: register(CTRL) & (RFCE | TFCE) == bits)
    assert struct.unpack("<III", ethtool.ask(GPAUSEPARAM, bytes(12))) == (0, rx, tx)
    interface.wait_for_carrier()
    assert register(CTRL) & (RFCE | TFCE) == bits


@pytest.mark.thorough
def test_pauses_are_negotiated_anew_when_the_link_flaps(
    card: E1000,
    ethtool: Ethtool,
    interface: Interface,
    gateway: str,
    register: Register,
    module: r4l.BuiltModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The link goes and comes again within a period of the drivers' watchdogs, and its other end is another one."""
    if module.name == "e1000":
        pytest.skip("the C driver obeys pauses that the other end has not offered")
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 1, 1, 1))
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    # Two periods, in which a driver sees the link without pauses.
    time.sleep(5)
    assert not register(CTRL) & (RFCE | TFCE)
    monkeypatch.setitem(PARTNER_ABILITY, PARTNER, PARTNER_ABILITY[PARTNER] | PAUSES)
    card.call(card.flap)
    wait_until(lambda: register(CTRL) & (RFCE | TFCE) == RFCE | TFCE)
    interface.ping(gateway, count=1)


@pytest.mark.thorough
def test_pauses_are_agreed_on_although_the_phy_did_not_answer_once(
    card: E1000,
    online: r4l.VM,
    ethtool: Ethtool,
    interface: Interface,
    register: Register,
    module: r4l.BuiltModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver obeys pauses that the other end has not offered")
    monkeypatch.setitem(PARTNER_ABILITY, PARTNER, PARTNER_ABILITY[PARTNER] | PAUSES)
    card.set_cable(False)
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 1, 1, 1))
    card.faults.add(Fault("all-ones", "MDIC"))
    card.set_cable(True)
    online.klog.wait_for("the PHY does not answer")
    wait_until(lambda: register(CTRL) & (RFCE | TFCE) == RFCE | TFCE)


def test_a_management_controller_keeps_its_link(
    card: E1000, interface: Interface, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one if the EEPROM says so, from which the card takes the bit in each reset."""
    load = card.load_eeprom

    def load_for_management() -> None:
        load()
        card.bar_write(0, MANC, 4, SMBUS_EN)

    monkeypatch.setattr(card, "load_eeprom", load_for_management)
    for has_controller in (True, False):
        if not has_controller:
            monkeypatch.undo()
        interface.down()
        assert card.phy.powered == has_controller
        interface.up(address=None)
        interface.ping(gateway, count=1)
