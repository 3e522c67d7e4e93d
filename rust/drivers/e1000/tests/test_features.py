# SPDX-License-Identifier: MIT
"""Features that are switched while the interface is up: VLANs, checksums of received frames, frames with all their
bytes, and bad ones."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether

import r4l
from r4l.net import Interface, Wire
from r4l.pci.models.e1000 import E1000

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool, Hear, Heard

pytestmark = pytest.mark.machine(nics=["e1000"])

CTRL, RCTL, RXCSUM, VFTA = 0x00, 0x100, 0x5000, 0x5600
VME = 1 << 30
"""VLAN mode (8254x manual, 13.4.1)."""
SBP, VFE = 1 << 2, 1 << 18
"""Bad packets, and the filter of VLANs (13.4.22)."""
TUOFL = 1 << 9
"""Checksums of TCP and UDP (13.4.47)."""
ON = ("tx-scatter-gather", "tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-vlan-hw-insert", "rx-vlan-hw-parse")
OURS = 0x88B5
"""Ethertype for experiments (IEEE 802)."""
Register = Callable[[int], int]


def test_features_are_what_the_card_can_do(online: r4l.VM, ethtool: Ethtool, register: Register) -> None:
    features = ethtool.features()
    for name in ON:
        assert features[name][1], name
    assert features["rx-vlan-filter"] == (False, True)
    for name in ("rx-fcs", "rx-all"):
        assert features[name] == (True, False), name
    assert features["rx-checksum"][0]
    assert register(CTRL) & VME


def test_tags_are_put_in_and_taken_out_by_one_switch(
    online: r4l.VM, ethtool: Ethtool, register: Register, interface: Interface, module: r4l.BuiltModule
) -> None:
    for on in (False, True):
        ethtool.switch("rx-vlan-hw-parse", on)
        features = ethtool.features()
        assert (features["rx-vlan-hw-parse"][1], features["tx-vlan-hw-insert"][1]) == (on, on)
        assert bool(register(CTRL) & VME) == on
        interface.down()
        interface.up(address=None)
        # A reset clears the bit on a card, not on QEMU's; the C driver sets it again where there are VLANs only.
        assert bool(register(CTRL) & VME) == on or (module.name == "e1000" and 0 in online.cards)


def from_peer(wire: Wire, interface: Interface) -> Ether:
    """Return the header of a frame from the peer to the guest."""
    assert wire.peer is not None
    return Ether(src=wire.peer.mac.hex(":"), dst=interface.mac)


@pytest.mark.machine(nics=["e1000"], modules=["8021q"])
def test_a_vlan_with_the_cards_tags_and_with_the_kernels(
    online: r4l.VM, wire: Wire, ethtool: Ethtool, register: Register, interface: Interface, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    online.run(
        "modprobe 8021q && ip link add link eth0 name eth0.37 type vlan id 37 && ip link set eth0.37 up"
        " && ip addr add 10.9.5.1/24 dev eth0.37",
        check=True,
    )
    assert register(VFTA + 4) == 1 << 5
    assert register(RCTL) & VFE
    to_guest = from_peer(wire, interface)
    for on in (True, False, True):
        ethtool.switch("rx-vlan-hw-parse", on)
        wire.sniff()
        deadline = time.monotonic() + 20
        while True:  # QEMU's card receives nothing for a second after each write of RCTL
            wire.send(to_guest / Dot1Q(vlan=37, prio=3) / ARP(op="who-has", psrc="10.9.5.2", pdst="10.9.5.1"))
            try:
                answer = wire.expect(lambda packet: ARP in packet and packet[ARP].psrc == "10.9.5.1", timeout=1)
                break
            except r4l.R4LError:
                assert time.monotonic() < deadline
        assert answer[Dot1Q].vlan == 37
        ping = IP(src="10.9.5.2", dst="10.9.5.1") / ICMP(id=7, seq=1) / (b"r" * 1472)
        wire.send(to_guest / Dot1Q(vlan=37) / ping)
        answer = wire.expect(lambda packet: ICMP in packet and packet[IP].src == "10.9.5.1")
        assert (answer[Dot1Q].vlan, answer[ICMP].type) == (37, 0)
        assert bytes(answer[ICMP].payload)[:1472] == b"r" * 1472
        interface.ping(gateway, count=1)


@pytest.mark.thorough
@pytest.mark.machine(nics=["e1000"], modules=["8021q"])
def test_only_frames_of_the_vlans_that_are_there_are_received(
    online: r4l.VM, wire: Wire, register: Register, interface: Interface, hear: Hear, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    come, to_guest = hear(OURS), from_peer(wire, interface)

    def heard() -> list[int | None]:
        """Return the tags of the frames that are received of one for each VLAN, and of one without a tag."""
        before = len(come())
        deadline = time.monotonic() + 20
        while not any(frame.tag is None for frame in come()[before:]):
            for vlan in (37, 38, 4094):
                wire.send(to_guest / Dot1Q(vlan=vlan, type=OURS) / (b"r" * 60))
            wire.send(Ether(src=to_guest.src, dst=to_guest.dst, type=OURS) / (b"r" * 60))
            time.sleep(0.3)
            assert time.monotonic() < deadline
        return sorted({frame.tag for frame in come()[before:]}, key=lambda tag: tag or 0)

    assert heard() == [None, 37, 38, 4094], "nobody has said which VLANs are wanted"
    online.run("modprobe 8021q", check=True)
    for vlan in (37, 4094):
        online.run(
            f"ip link add link eth0 name eth0.{vlan} type vlan id {vlan} && ip link set eth0.{vlan} up", check=True
        )
    assert heard() == [None, 37, 4094]
    interface.down()
    interface.up(address=None)
    assert heard() == [None, 37, 4094]
    online.run("ip link set eth0 promisc on", check=True)
    assert heard() == [None, 37, 38, 4094]
    online.run("ip link set eth0 promisc off && ip link del eth0.37", check=True)
    assert heard() == [None, 4094]


def wait_for(come: Callable[[], list[Heard]], send: Callable[[], None]) -> Heard:
    """Send until a frame is heard; QEMU's card receives nothing for a second after each write of RCTL."""
    before, deadline = len(come()), time.monotonic() + 20
    while not come()[before:]:
        send()
        time.sleep(0.2)
        assert time.monotonic() < deadline
    return come()[before]


def test_frames_with_their_checksum(
    online: r4l.VM, wire: Wire, ethtool: Ethtool, interface: Interface, hear: Hear, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    come = hear(OURS)
    frame = bytes(Ether(src=from_peer(wire, interface).src, dst=interface.mac, type=OURS) / (b"r" * 100))
    assert wait_for(come, lambda: wire.send(frame)).data == frame
    ethtool.switch("rx-fcs", True)
    # A frame from before may still be on its way.
    deadline = time.monotonic() + 20
    while (last := wait_for(come, lambda: wire.send(frame))).length == len(frame):
        assert time.monotonic() < deadline
    assert (last.length, last.data[: len(frame)]) == (len(frame) + 4, frame)
    if 0 in online.cards:
        assert last.data[-4:] == zlib.crc32(frame).to_bytes(4, "little"), "QEMU's card leaves these bytes open"
    interface.ping(gateway, count=2, size=1472)
    ethtool.switch("rx-fcs", False)
    interface.ping(gateway, count=1)
    assert wait_for(come, lambda: wire.send(frame)).data == frame


def test_bad_frames_are_heard_by_who_wants_them(
    online: r4l.VM, wire: Wire, ethtool: Ethtool, register: Register, interface: Interface, hear: Hear, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    assert not register(RCTL) & SBP
    come = hear(OURS)
    frame = Ether(src=from_peer(wire, interface).src, dst=interface.mac, type=OURS)

    def send_damaged(text: bytes) -> None:
        if isinstance(card := online.cards.get(0), E1000):
            card.call(card.damage_next)
        wire.send(frame / text.ljust(60))

    send_damaged(b"not wanted")
    ethtool.switch("rx-all", True)
    assert register(RCTL) & SBP
    interface.wait_for_carrier()
    last = wait_for(come, lambda: send_damaged(b"wanted"))
    assert last.data[14:].startswith(b"wanted") or 0 not in online.cards, "QEMU's card has no bad frames"
    interface.ping(gateway, count=1)
    ethtool.switch("rx-all", False)
    assert not register(RCTL) & SBP
    interface.wait_for_carrier()
    interface.ping(gateway, count=1)


def test_checksums_of_received_frames(
    online: r4l.VM, wire: Wire, ethtool: Ethtool, register: Register, interface: Interface, hear: Hear, gateway: str
) -> None:
    interface.ping(gateway, count=1)
    # The kernel's own verification would be seen, too.
    ethtool.switch("rx-gro", False)
    come = hear(0x0800)
    to_guest = from_peer(wire, interface) / IP(src=gateway, dst="10.0.2.15")
    right = bytes(to_guest / UDP(sport=9, dport=9) / b"right")
    wrong = bytes(to_guest / UDP(sport=9, dport=9, chksum=1) / b"wrong")

    def verified(frame: bytes) -> bool:
        return wait_for(lambda: [one for one in come() if frame[42:] in one.data], lambda: wire.send(frame)).verified

    for on in (True, False, True):
        ethtool.switch("rx-checksum", on)
        interface.wait_for_carrier()
        interface.ping(gateway, count=1)
        # QEMU's card does not look at them, and says so. It has no such register.
        looks = on and 0 in online.cards
        assert bool(register(RXCSUM) & TUOFL) == looks
        assert verified(right) == looks
        assert not verified(wrong)
