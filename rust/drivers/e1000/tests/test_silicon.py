# SPDX-License-Identifier: MIT
"""Needs of a real card that an emulated one does not have: read from its registers (8254x manual).

QEMU keeps no value that is written to MANC, so who gets ARP requests cannot be seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import r4l
from r4l import resources
from r4l.net import Interface

pytestmark = pytest.mark.machine(nics=["e1000"])

MDIC, TIPG = 0x20, 0x410
PHY_CONTROL, POWER_DOWN = 0, 1 << 11
"""The PHY's register 0, and its bit (13.4.7.1.1)."""
Register = Callable[[int], int]


@pytest.fixture
def ours(online: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    """A machine with the Rust driver's interface up."""
    if module.name == "e1000":
        pytest.skip(
            "the C driver leaves power and ARP as they are when wake-on-LAN is enabled, as it is in QEMU's EEPROM"
        )
    return online


@pytest.mark.machine(nics=["python:e1000"])
def test_an_address_is_never_valid_in_halves(online: r4l.VM, module: r4l.BuiltModule) -> None:
    """The half with the valid bit is written last to set an address, and first to clear it (13.5.3)."""
    written = [event.register for event in online.cards[0].trace if event.kind == "write"]
    assert [name for name in written if name in ("RAL[0]", "RAH[0]")][-2:] == ["RAL[0]", "RAH[0]"]
    if module.name == "e1000":
        pytest.skip("the C driver writes the lower half first to clear an address, too")
    for index in range(1, 16):
        halves = [name for name in written if name in (f"RAL[{index}]", f"RAH[{index}]")]
        assert halves
        assert halves[::2] == [f"RAH[{index}]"] * (len(halves) // 2)
        assert halves[1::2] == [f"RAL[{index}]"] * (len(halves) // 2)


def phy_has_power(register: Register) -> bool:
    """Return True if the last command of the driver to the PHY was to power up."""
    mdic = register(MDIC)
    assert mdic >> 16 & 0x1F == PHY_CONTROL
    return not mdic & POWER_DOWN


@pytest.mark.machine(nics=["python:e1000"])
def test_the_gaps_between_frames_are_those_of_the_standard(online: r4l.VM, register: Register) -> None:
    """Twelve clocks after a frame of one's own, of which the MAC adds four; after another's, also twelve, of which it
    adds six, and a carrier defers in the first two thirds (13.4.34)."""
    assert register(TIPG) == 6 << 20 | 8 << 10 | 8


def test_the_phy_has_power_while_the_interface_is_up(ours: r4l.VM, interface: Interface, register: Register) -> None:
    for _ in range(2):
        assert phy_has_power(register)
        interface.down()
        assert not phy_has_power(register)
        interface.up(address=None)


@pytest.fixture
def without_address(kernel: r4l.Kernel, tmp_path: Path) -> r4l.BuiltModule:
    """The driver with another checksum in mind, so that for it the EEPROM's is wrong."""
    folder = tmp_path / "e1000"
    shutil.copytree(resources.rust("drivers/e1000"), folder, ignore=shutil.ignore_patterns("tests"))
    source = folder / "eeprom.rs"
    text = source.read_text(encoding="utf-8")
    assert text.count("0xbaba") == 1
    source.write_text(text.replace("0xbaba", "0xbabb"), encoding="utf-8")
    return r4l.Module(folder).build(kernel)


@pytest.mark.thorough
def test_a_card_with_a_broken_eeprom_works_with_an_address_of_the_users(
    vm: r4l.VM, without_address: r4l.BuiltModule, interface: Interface, gateway: str
) -> None:
    vm.insmod(without_address)
    vm.klog.wait_for(r"no address in the EEPROM: EIO$")
    assert interface.mac == "00:00:00:00:00:00"
    assert vm.run(f"ip link set {interface.name} up").exit_code != 0
    vm.run(f"ip link set {interface.name} address 52:54:00:12:34:56", check=True)
    interface.up()
    interface.ping(gateway)
