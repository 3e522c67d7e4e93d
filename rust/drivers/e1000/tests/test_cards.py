# SPDX-License-Identifier: MIT
"""The cards of the family: QEMU has three, and r4l in Python has these and others."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Interface
from r4l.pci.models.e1000 import E1000, E1000GbSecond, E1000Gc, E1000Gm
from r4l.pci.models.e1000.eeprom import with_checksum
from r4l.pci.trace import write

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

GCOALESCE = 0x0E
ON_PCI_X = Path(__file__).with_name("models") / "on_pci_x.py"
PCI_X = 0x07
"""The capability's number (8254x manual, 4.1.1.1)."""
PHYS_ID = 0x1C
SIOCETHTOOL = 0x8946
MODELS = {"e1000": "0x100e", "e1000-82544gc": "0x100c", "e1000-82545em": "0x100f"}
"""The cards, by QEMU's names, and their device IDs."""
BROTHERS = {
    "e1000-82540ep": "0x1017",
    "e1000-82545gm": "0x1026",
    "e1000-82546gb": "0x1079",
    "e1000-82546gb-second": "0x1079",
}
"""The cards that QEMU does not have."""
COPPER = {
    *range(0x100C, 0x1011),
    0x1008,
    *range(0x1015, 0x1018),
    0x101D,
    0x101E,
    0x1026,
    0x1079,
    0x1099,
    0x10B5,
}
"""Device IDs of the controllers 82540, 82544, 82545 and 82546 for copper (8254x manual, Table 5-1; the kernel's
drivers/net/ethernet/intel/e1000/e1000_hw.h)."""
MAC, SECOND_MAC = "52:54:00:12:34:56", "52:54:00:12:34:57"
MAGIC, ALL_KINDS = 1 << 5, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5
"""WAKE_* of the kernel's include/uapi/linux/ethtool.h."""
CTRL, LEDCTL = 0x00, 0xE00
PIN, OUTPUT = 1 << 18, 1 << 22
"""Level and direction of the software definable pin 0, in CTRL (13.4.1)."""
SPECIFIC, EXTENDED = 16, 20
"""Registers of the PHY (13.4.7.1.13, 13.4.7.1.17)."""
CLOCK = 7 << 4
"""Field of the second one."""
CARDS = [
    pytest.param(
        device,
        marks=[
            pytest.mark.machine(nics=[place + model]),
            *([] if place == "" and model == "e1000-82544gc" else [pytest.mark.thorough]),
        ],
        id=place + model,
    )
    for places, models in ((("", "python:"), MODELS), (("python:",), BROTHERS))
    for model, device in models.items()
    for place in places
]


@dataclass(frozen=True)
class Piece:
    """Data of a transmit descriptor.

    Attributes:
        address: of its first byte.
        length: bytes.
        ends_frame: True if it is the last one of its frame.
    """

    address: int
    length: int
    ends_frame: bool


def put_on_pci_x(card: E1000, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the card say that its bus is PCI-X."""
    monkeypatch.setattr(card, "pcix", True)
    card.call(card.load_eeprom)


def watch_data(card: E1000, monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    """Return the list of the data descriptors that the card reads from its ring from now on."""
    seen: list[Piece] = []
    read, ring, size_of_ring = card.dma.read, card.peek(0x3800), card.peek(0x3808)

    def watched(address: int, size: int) -> bytes:
        data = read(address, size)
        if ring <= address < ring + size_of_ring:
            for first, second in struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]):
                # A data descriptor (3.3.7), or a legacy one (3.3.3), which the C driver uses.
                is_legacy = not second >> 29 & 1
                if is_legacy or second >> 20 & 0xF == 1:
                    length = second & (0xFFFF if is_legacy else 0xFFFFF)
                    seen.append(Piece(first, length, bool(second >> 24 & 1)))
        return data

    monkeypatch.setattr(card.dma, "read", watched)
    return seen


def refused(card: E1000) -> list[str]:
    """Return the accesses to registers that the card lacks."""
    return [event.text for event in card.trace if event.kind == "refused" and event.text.startswith("no register")]


@pytest.mark.parametrize("device", CARDS)
def test_each_card_of_the_family_works(
    online: r4l.VM,
    interface: Interface,
    ethtool: Ethtool,
    gateway: str,
    module: r4l.BuiltModule,
    device: str,
) -> None:
    found = online.run(f"cat /sys/class/net/{interface.name}/device/device", check=True).stdout
    assert found.strip() == device
    card = online.cards.get(0)
    assert interface.mac == (SECOND_MAC if isinstance(card, E1000GbSecond) else MAC)
    interface.ping(gateway, count=3, size=2000)
    contents, magic = ethtool.eeprom()
    assert magic == int(device, 16) << 16 | 0x8086
    assert contents[:6].hex(":") == MAC
    if module.name != "e1000":
        throttles = device != MODELS["e1000-82544gc"]
        assert struct.unpack_from("<I", ethtool.ask(GCOALESCE, bytes(88))) == (3 if throttles else 0,)
    interface.down()
    interface.up(address=None)
    interface.ping(gateway, count=1)
    online.rmmod(module.name)
    assert online.run("ls /sys/class/net").stdout.split() == ["lo"]
    if card is not None:
        assert isinstance(card, E1000)
        assert not refused(card)
        assert (write(E1000Gm.CTRL_DUP) in card.trace) == isinstance(card, E1000Gm)


def test_the_table_has_all_cards_for_copper(module: r4l.BuiltModule) -> None:
    aliases = [re.match(r"pci:v00008086d0000([0-9A-F]{4})sv\*", alias) for alias in module.modinfo["alias"]]
    found = {int(match[1], 16) for match in aliases if match}
    if module.name == "e1000":
        assert found > COPPER
    else:
        assert found == COPPER


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000-82544gc"])
def test_the_eeprom_of_the_oldest_is_read_and_written_by_its_pins(
    online: r4l.VM, ethtool: Ethtool, interface: Interface, gateway: str
) -> None:
    card = online.cards[0]
    assert isinstance(card, E1000Gc)
    contents, magic = ethtool.eeprom()
    assert struct.unpack("<64H", contents) == tuple(card.eeprom.words)
    ethtool.write_eeprom(0x20, b"\x12\x34", magic)
    assert card.eeprom.words[0x10] == 0x3412
    assert with_checksum(card.eeprom.words) == card.eeprom.words
    interface.ping(gateway, count=1)
    assert not refused(card)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000-82544gc"])
def test_the_lamp_of_the_oldest_is_at_a_pin(
    loaded: r4l.VM, ethtool: Ethtool, register: Callable[[int], int], module: r4l.BuiltModule
) -> None:
    card = loaded.cards[0]
    assert isinstance(card, E1000Gc)
    former = register(CTRL) & (PIN | OUTPUT)
    request = struct.pack("<II", PHYS_ID, 3).hex()
    loaded.run(f"/tmp/relay {ethtool.name} {SIOCETHTOOL} {request} > /dev/null &", check=True)
    seen: set[int] = set()
    until = time.monotonic() + 30
    while len(seen) < 2:
        assert time.monotonic() < until, seen
        if (value := register(CTRL) & (PIN | OUTPUT)) != former:
            seen.add(value)
    assert seen == {OUTPUT, PIN | OUTPUT}
    if module.name == "e1000":
        pytest.skip("the C driver leaves the lamp dark")
    while register(CTRL) & (PIN | OUTPUT) != former:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not refused(card)


@pytest.mark.machine(nics=["python:e1000-82544gc"])
def test_the_oldest_on_pci_x_gets_no_descriptor_that_ends_in_a_first_half(
    vm: r4l.VM, module: r4l.BuiltModule, interface: Interface, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight bytes; it may hang then. Four bytes may end anywhere."""
    card = vm.cards[0]
    assert isinstance(card, E1000Gc)
    put_on_pci_x(card, monkeypatch)
    vm.insmod(module)
    interface.up()
    seen = watch_data(card, monkeypatch)
    for size in range(100, 116):
        interface.ping(gateway, count=1, size=size)
    interface.ping(gateway, count=2, size=4000)
    ends = [(piece.address + piece.length - 1) & 4 for piece in seen if piece.length > 4]
    assert len(ends) > 16
    assert all(ends)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000-82545em"])
def test_on_pci_x_a_frame_begins_with_a_small_descriptor(
    vm: r4l.VM, module: r4l.BuiltModule, interface: Interface, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of less than 2016 bytes: otherwise the card may hang (erratum 10 of Intel's specification update for the
    82546GB, 32 of that for the 82545EM)."""
    card = vm.cards[0]
    assert isinstance(card, E1000)
    put_on_pci_x(card, monkeypatch)
    vm.insmod(module)
    interface.up()
    interface.ping(gateway, count=1)
    seen = watch_data(card, monkeypatch)
    vm.run("ip link set eth0 mtu 9000", check=True)
    interface.wait_for_carrier()
    for size in (1900, 3000, 5000, 8000):
        # QEMU's router takes no jumbo frames, so nobody answers.
        vm.run(f"ping -c1 -W1 -s {size} {gateway}")
    begins = [piece.length for before, piece in pairwise(seen) if before.ends_frame]
    frames = [piece for piece in seen if piece.ends_frame]
    assert len(frames) >= 4
    assert sum(piece.length for piece in seen) > 1900 + 3000 + 5000 + 8000
    assert max(begins) <= 2015
    assert max(piece.length for piece in seen) > 2015, "only the first one is small"


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(2048, marks=[pytest.mark.machine(nics=[f"{ON_PCI_X}:ServerOnPciX"]), pytest.mark.thorough]),
        pytest.param(4096, marks=pytest.mark.machine(nics=[f"{ON_PCI_X}:GbOnPciX"])),
    ],
)
def test_a_card_reads_no_more_at_once_than_it_can_store(
    online: r4l.VM, interface: Interface, gateway: str, limit: int
) -> None:
    """On PCI-X the 82545EM asks for as much as the firmware has set, here 4096 bytes, and stores 2048 (erratum 18 of
    its specification update). The 82546GB minds its own limit."""
    read = f"od -An -v -tx1 /sys/class/net/{interface.name}/device/config"
    space = bytes.fromhex("".join(online.run(read, check=True).stdout.split()))
    place = space[0x34]
    while space[place] != PCI_X:
        place = space[place + 1]
        assert place, "no PCI-X capability"
    (command,) = struct.unpack_from("<H", space, place + 2)
    assert 512 << (command >> 2 & 3) == limit
    interface.ping(gateway, count=1)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000-82544gc"], modules=["8021q"])
def test_the_oldest_keeps_the_words_before_those_that_are_changed(
    vm: r4l.VM, module: r4l.BuiltModule, interface: Interface, relay: Path, gateway: str
) -> None:
    """On the 82544, a write of an odd word of the tables of groups and VLANs overwrites the even word before it."""
    card = vm.cards[0]
    assert isinstance(card, E1000Gc)
    card.overwrites_even_words = True
    vm.insmod(module)
    interface.up()
    vm.put(relay, "/tmp/relay", 0o755)
    # VLANs 5 and 40 are in the words 0 and 1 (13.5.4); the groups 1, of all hosts, and 2, too (13.5.1). The kernel may
    # want VLAN 0, which stands for none.
    for vlan in (5, 40):
        vm.run(f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan} && ip link set eth0.{vlan} up", check=True)
    assert [int(word) & ~1 for word in card.VFTA][:2] == [1 << 5, 1 << 8]
    interface.ping(gateway, count=1)
    if module.name == "e1000":
        pytest.skip("the C driver puts the first multicast addresses among the receive addresses")
    former = [int(word) for word in card.MTA]
    assert former[0] & 1 << 16
    vm.run("/tmp/relay eth0 listen 01005e000002 > /tmp/listens & echo $! > /tmp/pid", check=True)
    until = time.monotonic() + 10
    while not card.MTA[1] & 1:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [int(word) for word in card.MTA][:2] == [former[0], former[1] | 1]
    interface.ping(gateway, count=1)


@pytest.mark.thorough
@pytest.mark.machine(nics=["python:e1000-82545em"])
def test_a_board_that_wakes_nothing_says_so(loaded: r4l.VM, ethtool: Ethtool) -> None:
    assert ethtool.wake() == (0, 0)
    with pytest.raises(OSError, match=r"ENOTSUP|EINVAL"):
        ethtool.set_wake(MAGIC)


@pytest.mark.machine(nics=["python:e1000-82546gb-second"])
@pytest.mark.parametrize("chosen", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_a_second_port_wakes_the_system_if_its_eeprom_says_so(
    vm: r4l.VM, request: pytest.FixtureRequest, chosen: bool
) -> None:
    card = vm.cards[0]
    assert isinstance(card, E1000GbSecond)
    # Initialization Control 3 of this port, and that of the first one, which says the contrary.
    for word, bit in ((0x14, chosen), (0x24, not chosen)):
        card.eeprom.words[word] = bit << 10
    card.eeprom.words[:] = with_checksum(card.eeprom.words)
    # Loads the driver.
    ethtool: Ethtool = request.getfixturevalue("ethtool")
    assert ethtool.wake() == ((ALL_KINDS, MAGIC) if chosen else (0, 0))
    address = f"cat /sys/class/net/{ethtool.name}/address"
    assert vm.run(address, check=True).stdout.strip() == SECOND_MAC


@pytest.mark.parametrize(
    ("specific", "extended"),
    [
        pytest.param(0x0B60, 0x0D70, marks=pytest.mark.machine(nics=["python:e1000"])),
        pytest.param(0x0B68, 0x0D60, marks=[pytest.mark.machine(nics=["python:e1000-82545gm"]), pytest.mark.thorough]),
    ],
)
def test_the_phy_is_set_up_for_half_duplex(
    online: r4l.VM, interface: Interface, gateway: str, specific: int, extended: int, module: r4l.BuiltModule
) -> None:
    """Carrier sense while it sends; and the clock of an old PHY. The reset after that keeps them."""
    card = online.cards[0]
    assert isinstance(card, E1000)
    assert card.phy.registers[SPECIFIC] & specific == specific
    assert card.phy.registers[EXTENDED] & CLOCK == extended & CLOCK
    if module.name == "e1000":
        pytest.skip("the C driver tells the PHY when the interface goes down, and not when it goes up")
    interface.down()
    card.call(card.phy.power_on)
    card.call(card.phy.begin)
    interface.up(address=None)
    interface.ping(gateway, count=1)
    assert card.phy.registers[SPECIFIC] & specific == specific


@pytest.mark.machine(nics=["python:e1000"])
def test_links_of_fibre_are_refused(vm: r4l.VM, module: r4l.BuiltModule, monkeypatch: pytest.MonkeyPatch) -> None:
    if module.name == "e1000":
        pytest.skip("the C driver has links of fibre")
    card = vm.cards[0]
    assert isinstance(card, E1000)
    load = card.load_eeprom

    def load_for_fibre() -> None:
        load()
        card.STATUS = card.STATUS.replace(TBIMODE=1)

    monkeypatch.setattr(card, "load_eeprom", load_for_fibre)
    card.call(load_for_fibre)
    vm.insmod(module)
    assert "eth0" not in vm.run("ls /sys/class/net", check=True).stdout
    vm.klog.wait_for("links of fibre are not supported")
    vm.rmmod(module.name)
