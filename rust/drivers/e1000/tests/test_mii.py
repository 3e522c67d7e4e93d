# SPDX-License-Identifier: MIT
"""Registers of the PHY, as mii-tool(8) reads and writes them (include/uapi/linux/mii.h)."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

pytestmark = pytest.mark.machine(nics=["e1000"])

GMIIPHY, GMIIREG, SMIIREG = 0x8947, 0x8948, 0x8949
CONTROL, STATUS, PHY_ID1, OFFER = 0, 1, 2, 4
HALF_100, FULL_100, FULL_1000 = 1 << 2, 1 << 3, 1 << 5
"""ADVERTISED_*, as bits."""
FORCED_100, NEGOTIATE = 0x2100, 0x1340
"""Values of the PHY's control register: 100 Mbit/s both ways; negotiation, now (IEEE 802.3, 22.2.4.1)."""
HAS_LINK = 1 << 2


class Mii:
    """The PHY of `eth0`."""

    def __init__(self, vm: r4l.VM) -> None:
        self.vm = vm

    def ask(self, command: int, register: int = 0, value: int = 0, phy: int = 1) -> tuple[int, int]:
        """Make a request and return number of the PHY and value read.

        Raises:
            OSError: the kernel refuses it.
        """
        data = struct.pack("<HHHH", phy, register, value, 0).hex()
        answer = self.vm.run(["/tmp/relay", "eth0", str(command), data], timeout=60, check=True).stdout.split()
        if answer[0] == "error":
            raise OSError(int(answer[1]), errno.errorcode[int(answer[1])])
        number, _, _, read = struct.unpack("<HHHH", bytes.fromhex(answer[0])[:8])
        return number, read

    def read(self, register: int) -> int:
        return self.ask(GMIIREG, register)[1]


@pytest.fixture
def mii(online: r4l.VM, relay: Path) -> Mii:
    online.put(relay, "/tmp/relay", 0o755)
    return Mii(online)


def test_registers_are_read_and_written(mii: Mii, interface: Interface, gateway: str, module: r4l.BuiltModule) -> None:
    interface.ping(gateway, count=1)
    assert mii.ask(GMIIPHY)[0] == (0 if module.name == "e1000" else 1), "the C driver tells no number"
    assert mii.ask(GMIIPHY, 32)[0] == mii.ask(GMIIPHY)[0], "whatever the register is"
    assert mii.read(PHY_ID1) == 0x0141
    assert mii.read(STATUS) & HAS_LINK
    mii.ask(SMIIREG, OFFER, 0x0101)
    assert mii.read(OFFER) == 0x0101
    with pytest.raises(OSError, match=r"EFAULT|EINVAL"):
        mii.ask(SMIIREG, 32, 0)
    interface.ping(gateway, count=1)


def test_what_the_phy_was_told_is_what_ethtool_shows(
    mii: Mii, ethtool: Ethtool, interface: Interface, gateway: str
) -> None:
    assert ethtool.settings()[3] == 1
    mii.ask(SMIIREG, CONTROL, FORCED_100)
    assert ethtool.settings()[3] == 0
    interface.wait_for_carrier()
    interface.down()
    interface.up(address=None)
    assert ethtool.settings()[3] == 0
    mii.ask(SMIIREG, CONTROL, NEGOTIATE)
    assert ethtool.settings()[3] == 1
    interface.wait_for_carrier()
    interface.ping(gateway, count=2)


def test_a_negotiation_by_mii_tool_is_for_the_modes_that_are_advertised(
    mii: Mii, ethtool: Ethtool, interface: Interface, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver advertises all modes then")
    modes = HALF_100 | FULL_100 | FULL_1000
    ethtool.set_link(autoneg=True, advertising=FULL_100 | FULL_1000)
    mii.ask(SMIIREG, CONTROL, NEGOTIATE)
    assert ethtool.settings()[1] & modes == FULL_100 | FULL_1000
    mii.ask(SMIIREG, OFFER, 0x0081)
    assert ethtool.settings()[1] & modes == HALF_100 | FULL_1000
    interface.down()
    interface.up(address=None)
    assert mii.read(OFFER) == 0x0081
