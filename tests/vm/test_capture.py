# SPDX-License-Identifier: MIT
"""The capture module: its hook sees the packets on the wire, one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from r4l import resources
from r4l.camp.demo.rig import Rig
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Wire, read_pcap
from r4l.net.addresses import GATEWAY
from r4l.testing import Leaks
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.machine(nics=["e1000"])]

GUEST = "52:54:00:12:34:56"
FILES = "/sys/kernel/debug/r4l_capture"
SHORTEST = 60
"""Bytes of an Ethernet frame, without FCS."""
SNAP = 64
KEPT = 256
Key = tuple[str, str]


@dataclass(frozen=True)
class Seen:
    """A packet as one side saw it: direction, length, first bytes."""

    direction: str
    length: int
    data: bytes


@pytest.fixture(scope="module")
def module(kernel: Kernel) -> BuiltModule:
    return Module(resources.rust("drivers/capture")).build(kernel)


@pytest.fixture
def rig(vm: VM, wire: Wire, kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> Rig:
    """A VM with the card's driver loaded and no packet sent."""
    rig = Rig(vm, kernel, hello, e1000)
    rig.begin()
    rig.load(e1000)
    return rig


def watch(rig: Rig, module: BuiltModule) -> None:
    """Load the capture module for eth0."""
    rig.vm.insmod(module, ifindex=rig.run("cat /sys/class/net/eth0/ifindex").strip())


def counters(rig: Rig) -> dict[Key, tuple[int, int]]:
    """Return packets and bytes by direction and protocol, as counted by the module."""
    lines = [line.split() for line in rig.run(f"cat {FILES}/counters").splitlines()]
    assert lines[0] == ["direction", "protocol", "packets", "bytes"]
    return {(way, protocol): (int(packets), int(size)) for way, protocol, packets, size in lines[1:]}


def headers(rig: Rig) -> list[Seen]:
    """Return the packets kept by the module, oldest first."""
    lines = [line.split() for line in rig.run(f"cat {FILES}/headers").splitlines()]
    numbers = [int(line[0]) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(lines))) if numbers else True
    return [Seen(way, int(length), bytes.fromhex(data)) for _, way, length, data in lines]


def on_the_wire(wire: Wire) -> list[Seen]:
    """Return the packets of the host's pcap, with directions as seen by the guest."""
    wire.flush()
    return [
        Seen("sent" if packet.data[6:12].hex(":") == GUEST else "received", packet.length, packet.data[:SNAP])
        for packet in read_pcap(wire.pcap)
    ]


def same(inside: list[Seen], outside: list[Seen]) -> bool:
    """True if both sides saw the same packets in the same order, each direction separately."""
    for direction in ("received", "sent"):
        ours = [completed(seen) for seen in inside if seen.direction == direction]
        theirs = [completed(seen) for seen in outside if seen.direction == direction]
        if ours != theirs:
            return False
    return True


def completed(seen: Seen) -> Seen:
    """Undo the card's changes to a sent packet, since the hook runs before them.

    The card pads short frames, and fills in the checksums of TCP and UDP, of which the stack has left the start.
    """
    if seen.direction == "received":
        return seen
    data = bytearray(seen.data.ljust(SHORTEST, b"\0"))
    place = {6: 16, 17: 6}.get(data[23]) if data[12:15] == b"\x08\x00\x45" else None
    if place:
        data[34 + place : 36 + place] = b"\0\0"
    return Seen(seen.direction, max(seen.length, SHORTEST), bytes(data))


def protocol(packet: Packet) -> str:
    """Return scapy's name of the protocol: a dissector independent of the module's."""
    for name, layer in {"arp": ARP, "icmp": ICMP, "tcp": TCP, "udp": UDP, "ipv4": IP, "ipv6": IPv6}.items():
        if layer in packet:
            return name
    return "other"


def stop(rig: Rig) -> None:
    """Stop all traffic; packets that the interface sends by itself come from timers."""
    rig.run("ip link set eth0 down")


@pytest.mark.row("A30")
def test_the_hook_and_the_hosts_pcap_agree_packet_by_packet(rig: Rig, module: BuiltModule, wire: Wire) -> None:
    watch(rig, module)
    rig.up()
    rig.ping(GATEWAY, count=5)
    rig.run(f"ping -c3 -i 0.2 -s 1400 {GATEWAY}")
    rig.run(f"nc -w 1 {GATEWAY} 99 < /dev/null", exit_code=None)
    rig.run(f"nslookup -timeout=1 -retry=1 no.such.host {GATEWAY}", exit_code=None)
    stop(rig)
    inside, outside = headers(rig), on_the_wire(wire)
    assert same(inside, outside), f"the hook saw {inside}\nthe wire {outside}"

    counted = counters(rig)
    packets = Counter(
        ("sent" if packet.data[6:12].hex(":") == GUEST else "received", protocol(packet.scapy()))
        for packet in read_pcap(wire.pcap)
    )
    assert {key: count for key, (count, _) in counted.items() if count} == dict(packets)
    assert counted["sent", "icmp"] == counted["received", "icmp"] == (8, 5 * 98 + 3 * 1442)
    assert counted["sent", "udp"][0] > 0
    assert counted["sent", "tcp"][0] > 0
    assert sum(size for _, size in counted.values()) == sum(seen.length for seen in inside)


@pytest.mark.row("A30")
def test_every_packet_of_the_test_is_counted(rig: Rig, module: BuiltModule, wire: Wire) -> None:
    watch(rig, module)
    # What IPv6 says of its own accord may come after the capture has stopped.
    rig.run("for n in all default; do echo 1 > /proc/sys/net/ipv6/conf/$n/disable_ipv6; done")
    rig.up()
    rig.ping(GATEWAY, count=1)
    assert wire.peer is not None
    mac, wire.peer = wire.peer.mac.hex(":"), None
    before = counters(rig)
    header = Ether(src=mac, dst=GUEST)
    kinds = {
        "udp": header / IP(src="10.0.2.2", dst="10.0.2.77") / UDP(dport=9),
        "ipv4": header / IP(src="10.0.2.2", dst="10.0.2.77", proto=253),
        "other": header.copy() / bytes(100),
    }
    kinds["other"].type = 0x88B5
    sizes = {name: max(len(packet), SHORTEST) for name, packet in kinds.items()}
    numbers = {"udp": 40, "ipv4": 30, "other": 500}
    for name, number in numbers.items():
        for _ in range(number):
            wire.send(kinds[name])
    wire.flush()
    total = sum(numbers.values()) + sum(count for (way, _), (count, _) in before.items() if way == "received")
    all_there = f"[ $(awk '/^received/ {{n += $3}} END {{print n}}' {FILES}/counters) -ge {total} ]"
    rig.run(f"i=0; until {all_there}; do i=$((i+1)); [ $i -gt 100 ] && exit 1; usleep 50000; done")
    after = counters(rig)
    for name, number in numbers.items():
        packets, size = (
            now - then for now, then in zip(after["received", name], before["received", name], strict=True)
        )
        assert (packets, size) == (number, number * sizes[name]), name
    stop(rig)
    kept = headers(rig)
    assert len(kept) == KEPT, "the last ones"
    assert same(kept, on_the_wire(wire)[-KEPT:])


def test_other_interfaces_are_not_counted(rig: Rig, module: BuiltModule) -> None:
    watch(rig, module)
    rig.run("ip link set lo up; ping -c2 127.0.0.1")
    assert not any(count for count, _ in counters(rig).values())
    assert headers(rig) == []
    rig.run("rmmod r4l_capture")
    rig.vm.insmod(module)
    rig.run("ping -c2 127.0.0.1")
    assert counters(rig)["sent", "icmp"] == counters(rig)["received", "icmp"] == (4, 4 * 98)


def test_the_card_may_go_and_come_under_the_hook(rig: Rig, module: BuiltModule) -> None:
    rig.vm.insmod(module)
    for _ in range(2):
        rig.up()
        rig.ping(GATEWAY, count=1)
        rig.run("rmmod r4l_e1000")
        rig.load(rig.driver)
    assert counters(rig)["sent", "icmp"][0] == 2


@pytest.mark.row("A30")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("rounds", "times"), [(2, 10), pytest.param(4, 20, marks=pytest.mark.thorough)])
def test_reloads_under_traffic_leave_nothing(
    rig: Rig, module: BuiltModule, wire: Wire, leaks: Leaks, rounds: int, times: int
) -> None:
    rig.vm.put(module.path, "/tmp/capture.ko")
    rig.up()
    cycle = f"insmod /tmp/capture.ko && cat {FILES}/headers {FILES}/counters > /dev/null && rmmod r4l_capture || exit 1"
    # Without traffic before and after: a frame on its way is mapped for the card.
    traffic = f"ping -i 0.01 {GATEWAY} > /tmp/pings & trap 'kill -INT $!; wait' EXIT"

    def reload(times: int) -> None:
        rig.run(f"{traffic}; for i in $(seq {times}); do {cycle}; done", timeout=300)

    leaks.across_rounds(reload, rounds=rounds, times=times)
    assert rig.vm.run(f"test -e {FILES}").exit_code == 1
    assert "r4l_capture" not in rig.run("cat /proc/net/ptype /proc/modules")
    rig.ping(GATEWAY, count=1)
