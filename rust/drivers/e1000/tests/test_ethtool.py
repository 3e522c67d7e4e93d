# SPDX-License-Identifier: MIT
"""Values, settings and tests of ethtool(8): its requests, made by a small program in the guest.

The structures are those of the kernel's include/uapi/linux/ethtool.h.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

pytestmark = pytest.mark.machine(nics=["e1000"])

SIOCETHTOOL = 0x8946
GREGS, GMSGLVL, SMSGLVL, NWAY_RST = 0x04, 0x07, 0x08, 0x09
GCOALESCE, SCOALESCE, GPAUSEPARAM, SPAUSEPARAM = 0x0E, 0x0F, 0x12, 0x13
PHYS_ID = 0x1C
GET_TS_INFO = 0x41
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE = 1 << 1, 1 << 3, 1 << 4
"""SOF_TIMESTAMPING_* of include/uapi/linux/net_tstamp.h."""
SETTINGS = "<4xIIHBBBBBBIIHBBI8x"
"""struct ethtool_cmd after `cmd`, without what is not looked at."""
HALF_100, FULL_100, FULL_1000 = 1 << 2, 1 << 3, 1 << 5
"""ADVERTISED_*, as bits."""
DYNAMIC = 3
"""Interval that stands for a dynamic one (test_itr.py)."""
ADAPTIVE = 9
"""Index of `use_adaptive_rx_coalesce` in struct ethtool_coalesce, after `cmd`."""
FAILED = 2
CTRL, ITR, LEDCTL, FCT = 0x00, 0xC4, 0xE00, 0x30
RFCE, TFCE = 1 << 27, 1 << 28
Register = Callable[[int], int]


def test_the_driver_tells_who_it_is_and_what_it_has(ethtool: Ethtool, module: r4l.BuiltModule) -> None:
    name, bus, (counters, tests, eeprom, registers) = ethtool.information()
    assert name == module.name
    assert bus.startswith("0000:00:")
    assert counters >= 20
    assert tests == 5
    assert eeprom == 128
    assert registers >= 12 * 4


def test_registers_and_eeprom_are_the_cards(
    online: r4l.VM, ethtool: Ethtool, register: Register, interface: Interface
) -> None:
    size = ethtool.information()[2][3]
    data = ethtool.ask(GREGS, struct.pack("<II", 0, size) + bytes(size))[8:]
    words = struct.unpack(f"<{size // 4}I", data)
    # Not what changes by itself: heads and tails.
    for index, offset in ((0, CTRL), (2, 0x100), (3, 0x2808), (7, 0x400), (8, 0x3808)):
        assert words[index] == register(offset), f"register {offset:#x}"
    contents, _ = ethtool.eeprom()
    assert contents[:6].hex(":") == interface.mac
    assert sum(struct.unpack("<64H", contents)) & 0xFFFF == 0xBABA
    assert ethtool.eeprom(3, 4)[0] == contents[3:7]


@pytest.mark.parametrize(("offset", "length"), [(0x13, 1), (0x13, 4), (0x20, 2)])
def test_the_eeprom_is_written_and_its_checksum_with_it(
    loaded: r4l.VM, ethtool: Ethtool, module: r4l.BuiltModule, offset: int, length: int
) -> None:
    before, magic = ethtool.eeprom()
    new = bytes(byte ^ 0x5A for byte in before[offset : offset + length])
    with pytest.raises(OSError, match="EFAULT"):
        ethtool.write_eeprom(offset, new, magic ^ 1)
    assert ethtool.eeprom()[0] == before
    if 0 not in loaded.cards:
        # QEMU's card has an EEPROM that does not keep what is written to it. The C driver does not look.
        if module.name != "e1000":
            with pytest.raises(OSError, match="EIO"):
                ethtool.write_eeprom(offset, new, magic)
        return
    ethtool.write_eeprom(offset, new, magic)
    after, _ = ethtool.eeprom()
    assert after[offset : offset + length] == new
    assert (after[:offset], after[offset + length : -2]) == (before[:offset], before[offset + length : -2])
    assert sum(struct.unpack("<64H", after)) & 0xFFFF == 0xBABA


def test_the_cards_statistics_count_what_was_sent(
    online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    before = ethtool.statistics()
    interface.ping(gateway, count=5, size=1000)
    time.sleep(3)  # the C driver reads the registers every two seconds
    after = ethtool.statistics()
    # QEMU's card counts no bytes that were sent (GOTC).
    for name in ("tx_packets", "rx_packets"):
        assert 5 <= after[name] - before[name] < 20, name
    assert after["rx_crc_errors"] == 0


def test_frames_get_time_stamps_by_software(ethtool: Ethtool) -> None:
    capabilities, clock = struct.unpack_from("<Ii", ethtool.ask(GET_TS_INFO, bytes(40)))
    assert capabilities == TX_SOFTWARE | RX_SOFTWARE | SOFTWARE
    assert clock == -1


def test_messages(ethtool: Ethtool) -> None:
    assert struct.unpack("<I", ethtool.ask(GMSGLVL, bytes(4))) == (7,)
    ethtool.ask(SMSGLVL, struct.pack("<I", 3))
    assert struct.unpack("<I", ethtool.ask(GMSGLVL, bytes(4))) == (3,)


@pytest.mark.parametrize(("debug", "bits"), [(0, 0), (1, 1), (16, 0xFFFF), (-1, 7), (17, 7)])
def test_the_parameter_debug_chooses_messages(
    vm: r4l.VM, module: r4l.BuiltModule, request: pytest.FixtureRequest, debug: int, bits: int
) -> None:
    if module.name == "e1000" and debug == 17:
        pytest.skip("the C driver takes up to 31")
    vm.insmod(module, debug=debug)
    vm.put(request.getfixturevalue("relay"), "/tmp/relay", 0o755)
    answer = vm.run(f"/tmp/relay eth0 {SIOCETHTOOL} {struct.pack('<II', GMSGLVL, 0).hex()}", check=True).stdout
    assert struct.unpack("<II", bytes.fromhex(answer.strip()))[1] == bits


def test_interrupts_are_as_far_apart_as_was_set(
    online: r4l.VM, ethtool: Ethtool, register: Register, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver does not set this of an 82540")
    interface.ping(gateway, count=1)
    coalesce = bytearray(ethtool.ask(GCOALESCE, bytes(88)))
    assert struct.unpack_from("<I", coalesce) == (DYNAMIC,)
    struct.pack_into("<I", coalesce, 0, 512)
    ethtool.ask(SCOALESCE, bytes(coalesce))
    assert register(ITR) == 2000
    interface.down()
    interface.up(address=None)
    assert register(ITR) == 2000
    for impossible in (2, 20_000):
        struct.pack_into("<I", coalesce, 0, impossible)
        with pytest.raises(OSError, match="EINVAL"):
            ethtool.ask(SCOALESCE, bytes(coalesce))
    assert struct.unpack_from("<I", ethtool.ask(GCOALESCE, bytes(88))) == (512,)
    interface.ping(gateway, count=1)


def test_the_interval_of_interrupts_follows_the_traffic_or_does_not(
    online: r4l.VM, ethtool: Ethtool, register: Register, module: r4l.BuiltModule
) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver has the special intervals only, and does not set them of an 82540")

    def settings() -> tuple[int, int]:
        values = struct.unpack_from("<10I", ethtool.ask(GCOALESCE, bytes(88)))
        return values[0], values[ADAPTIVE]

    def set_to(interval: int, adaptive: int) -> tuple[int, int]:
        coalesce = bytearray(ethtool.ask(GCOALESCE, bytes(88)))
        struct.pack_into("<I", coalesce, 0, interval)
        struct.pack_into("<I", coalesce, 4 * ADAPTIVE, adaptive)
        ethtool.ask(SCOALESCE, bytes(coalesce))
        return settings()

    assert settings() == (DYNAMIC, 1)
    assert set_to(DYNAMIC, 0) == (125, 0), "switched off"
    assert register(ITR) == 125_000 // 256
    assert set_to(125, 1) == (DYNAMIC, 1), "switched on"
    assert register(ITR) == 50_000 // 256
    assert set_to(512, 1) == (512, 0), "another interval, and the switch as it was"
    assert set_to(1, 0) == (1, 1), "an interval that stands for a dynamic one"
    assert set_to(1, 1) == (1, 1), "nothing new"


def test_pauses(online: r4l.VM, ethtool: Ethtool, register: Register, interface: Interface, gateway: str) -> None:
    interface.ping(gateway, count=1)
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 0, 1, 1))
    assert struct.unpack("<III", ethtool.ask(GPAUSEPARAM, bytes(12))) == (0, 1, 1)
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    assert register(CTRL) & (RFCE | TFCE) == RFCE | TFCE
    ethtool.ask(SPAUSEPARAM, struct.pack("<III", 0, 0, 0))
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    assert register(CTRL) & (RFCE | TFCE) == 0


def test_the_link_is_negotiated_forced_and_negotiated_again(
    online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule
) -> None:
    supported, advertising, speed, autoneg = ethtool.settings()
    assert supported & advertising & FULL_1000
    assert (speed, autoneg) == (1000, 1)
    ethtool.set_link(autoneg=True, advertising=FULL_1000)
    assert ethtool.settings()[1] & (HALF_100 | FULL_100 | FULL_1000) == FULL_1000
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    ethtool.set_link(autoneg=False, speed=100, full=True)
    assert ethtool.settings()[3] == 0
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)
    with pytest.raises(OSError, match="EINVAL"):
        ethtool.set_link(autoneg=False, speed=10_000, full=True)
    ethtool.set_link(autoneg=True, advertising=FULL_100 | FULL_1000)
    if module.name == "e1000":
        # On a loaded computer the C driver's watchdog of the first reset runs during the second, takes the carrier for
        # unchanged, and leaves the transmitter off (TCTL.EN).
        interface.wait_for_carrier()
    ethtool.ask(NWAY_RST, bytes(4))
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)


def test_the_cards_lamp_shines(loaded: r4l.VM, ethtool: Ethtool, register: Register, module: r4l.BuiltModule) -> None:
    former = register(LEDCTL)
    loaded.run(f"/tmp/relay eth0 {SIOCETHTOOL} {struct.pack('<II', PHYS_ID, 3).hex()} > /dev/null &", check=True)
    seen: set[int] = set()
    until = time.monotonic() + 30
    while time.monotonic() < until and len(seen) < 2:
        value = register(LEDCTL)
        if value != former:
            seen.add(value & 0xFF)
    assert {value & 0xF for value in seen} == {0xE, 0xF} or module.name == "e1000", "on and off (13.4.15)"
    assert seen
    while register(LEDCTL) != former:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("offline", [False, True])
def test_the_card_tests_itself(
    online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str, module: r4l.BuiltModule, offline: bool
) -> None:
    if offline and module.name == "e1000":
        pytest.skip("QEMU's card fails the C driver's tests of registers and of the loopback")
    interface.ping(gateway, count=1)
    flags, results = ethtool.self_test(offline=offline)
    assert set(results.values()) == {0}, results
    assert not flags & FAILED
    interface.wait_for_carrier()
    interface.ping(gateway)
