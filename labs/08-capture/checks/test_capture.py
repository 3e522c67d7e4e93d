# SPDX-License-Identifier: MIT
"""Lab 8. Number, kind and order of packets are drawn at random; the host's own capture is the reference."""

from __future__ import annotations

import random
import re
from ipaddress import IPv4Address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

import r4l
from r4l.camp.labs import see
from r4l.net import Nic, Wire, read_pcap
from r4l.net.pcap import Packet as Captured
from r4l.testing import Leaks
from r4l.vm.loading import FOLDER

DRAW = random.SystemRandom()
NAME = "capture"
FILES = "/sys/kernel/debug/capture"
GUEST, GUEST_MAC = "10.0.2.15", "52:54:00:12:34:56"
PEER, PEER_MAC = "10.0.2.2", "52:55:0a:00:02:02"
NOBODY = "10.0.2.77"
"""Packets to this IP address at the guest's MAC get no answer."""
PROTOCOLS = ("arp", "icmp", "tcp", "udp", "ipv4", "ipv6", "other")
HEADER = Ether(src=PEER_MAC, dst=GUEST_MAC)
Counted = dict[tuple[str, str], tuple[int, int]]
"""Packets and bytes by direction and protocol; entries with none are left out."""


def online(vm: r4l.VM) -> None:
    """A card with its link up and no unsolicited traffic: no IPv6, and a permanent entry for the peer."""
    vm.run("modprobe virtio_net", check=True)
    vm.run("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6", check=True)
    vm.run(f"ip link set lo up; ip addr add {GUEST}/24 dev eth0; ip link set eth0 up", check=True)
    vm.run(f"arp -s {PEER} {PEER_MAC}; ping -c1 -W9 {PEER}", check=True)


CARD = Nic("virtio-net-pci", backend="socket")
pytestmark = pytest.mark.machine(nics=[CARD], modules=["virtio_net"], prepare=online)
"""All tests use the same machine, with the wire even where they do not need it."""


def load(vm: r4l.VM, module: r4l.BuiltModule, **parameters: int) -> None:
    """Load the module.

    A guest that has the file already is not sent it again; it has megabytes of debug information.
    """
    file = f"{FOLDER}/{module.path.name}"
    if vm.run(f"test -e {file}").ok:
        vm.run(["insmod", file, *(f"{name}={value}" for name, value in parameters.items())], check=True)
    else:
        vm.insmod(module, **parameters)


def pings(vm: r4l.VM, count: int = 2, to: str = PEER) -> str:
    """Ping; return the line with the number of answers.

    Packets stay in order: once the second answer is here, every packet sent before the first request has arrived, and
    the guest's answers to them are on the wire.
    """
    done = vm.run(f"ping -c{count} -i 0.005 -W 5 {to}")
    return next((line for line in done.stdout.splitlines() if "transmitted" in line), done.stderr or done.stdout)


def counters(vm: r4l.VM) -> Counted:
    """Return the module's counters."""
    text = vm.run(f"cat {FILES}/counters").stdout
    rows = re.findall(r"^(received|sent) (\w+) (\d+) (\d+)$", text, re.MULTILINE)
    return {(way, what): (int(packets), int(size)) for way, what, packets, size in rows if int(packets)}


class Passing:
    """The packets on the wire from now on, as captured by the host."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._before = len(self._all())

    def counted(self, port: int = 0) -> Counted:
        """Return the counters that the module should have now."""
        found: Counted = {}
        for frame in self._all()[self._before :]:
            packet = frame.scapy()
            if port and port not in ports(packet):
                continue
            key = ("sent" if packet.src == GUEST_MAC else "received", protocol(packet))
            packets, size = found.get(key, (0, 0))
            found[key] = (packets + 1, size + frame.length)
        return found

    def _all(self) -> list[Captured]:
        self._wire.flush()
        return list(read_pcap(self._wire.pcap))


def protocol(packet: Packet) -> str:
    """Return scapy's name of the protocol."""
    if IP in packet:
        return {1: "icmp", 6: "tcp", 17: "udp"}.get(packet[IP].proto, "ipv4")
    return "arp" if ARP in packet else "ipv6" if IPv6 in packet else "other"


def ports(packet: Packet) -> tuple[int, ...]:
    """Return the ports of TCP and UDP over IPv4. Ports of packets quoted in ICMP errors do not count."""
    if ICMP in packet or IP not in packet:
        return ()
    return next(((packet[layer].sport, packet[layer].dport) for layer in (TCP, UDP) if layer in packet), ())


def payload() -> Raw:
    """Return a payload of random length, up to the longest frame without headers."""
    return Raw(DRAW.randbytes(DRAW.randrange(1400)))


def to_nobody(**header: Any) -> Packet:
    """Return headers of a frame that the guest's card receives and the guest does not answer."""
    return HEADER / IP(src=PEER, dst=NOBODY, **header)


def pairs(port: int) -> list[tuple[int, int]]:
    """Return source and destination ports: from the port, to the port, and neither."""
    others = [number for number in (port - 1, port + 1, port ^ 0x100, port & 0xFF, 9) if number != port]
    kinds = [(port, DRAW.choice(others)), (DRAW.choice(others), port), (9, DRAW.choice(others))]
    return [*kinds, *(DRAW.choice(kinds) for _ in range(8))]


def one(what: str) -> Packet:
    """Return a frame of a protocol."""
    port = DRAW.randrange(1, 1 << 16)
    return {
        "arp": HEADER / ARP(hwsrc=PEER_MAC, psrc=PEER, pdst=GUEST),
        "icmp": to_nobody() / ICMP(type=8) / payload(),
        # A SYN: what is data the card may put together with the next (GRO), and the guest answers it with a RST.
        "tcp": HEADER / IP(src=PEER, dst=DRAW.choice([GUEST, NOBODY])) / TCP(flags="S", sport=port, dport=9),
        "udp": to_nobody() / UDP(sport=port, dport=9) / payload(),
        "ipv4": to_nobody(proto=253) / payload(),
        "ipv6": HEADER / IPv6(dst="fe80::77", nh=59) / payload(),
        # A number that is given to experiments.
        "other": Ether(src=PEER_MAC, dst=GUEST_MAC, type=0x88B5) / payload(),
    }[what]


def send(wire: Wire, frames: list[Packet]) -> None:
    """Send frames in random order."""
    DRAW.shuffle(frames)
    for frame in frames:
        wire.send(frame)


def drawn(protocols: tuple[str, ...], most: int) -> list[Packet]:
    """Return a random number of frames of each kind."""
    return [one(what) for what in protocols for _ in range(DRAW.randrange(2, most))]


def see_same(vm: r4l.VM, passing: Passing, what: str, port: int = 0) -> None:
    """Check that the module's counters equal the host's capture."""
    inside, outside = counters(vm), passing.counted(port)
    for key in sorted({*inside, *outside}):
        seen, expected = inside.get(key, (0, 0)), outside.get(key, (0, 0))
        see(f"{' '.join(key)} (packets, bytes) in counters, {what}", seen, expected)


def ifindex(vm: r4l.VM, interface: str = "eth0") -> int:
    """Return the index of an interface."""
    return int(vm.run(f"cat /sys/class/net/{interface}/ifindex", check=True).stdout)


def sums(counted: Counted) -> dict[str, tuple[int, int]]:
    """Return the counters by direction alone."""
    found: dict[str, tuple[int, int]] = {}
    for (way, _), (packets, size) in counted.items():
        before = found.get(way, (0, 0))
        found[way] = (before[0] + packets, before[1] + size)
    return found


@pytest.mark.checkpoint("loads")
def test_loads(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    load(vm, module)
    see(f"{NAME} in /proc/modules", NAME in vm.run("cut -d' ' -f1 /proc/modules").stdout.split(), True)
    lines = vm.run(f"cat {FILES}/counters").stdout.splitlines()
    see(f"the first line of {FILES}/counters", lines[:1], ["direction protocol packets bytes"])


@pytest.mark.checkpoint("counts")
def test_counts(vm: r4l.VM, module: r4l.BuiltModule, wire: Wire) -> None:
    passing = Passing(wire)
    load(vm, module, ifindex=ifindex(vm))
    send(wire, drawn(PROTOCOLS, 20))
    count = DRAW.randrange(3, 12)
    summary = pings(vm, count)
    see(f"what came back of {count} pings while {NAME} is loaded", summary, "0% packet loss", " 0% packet" in summary)
    inside, outside = sums(counters(vm)), sums(passing.counted())
    for way in ("received", "sent"):
        what = f"{way} (packets, bytes), all protocols together, in counters"
        see(what, inside.get(way, (0, 0)), outside.get(way, (0, 0)))


@pytest.mark.checkpoint("protocols")
def test_protocols(vm: r4l.VM, module: r4l.BuiltModule, wire: Wire) -> None:
    passing = Passing(wire)
    load(vm, module, ifindex=ifindex(vm))
    send(wire, drawn(PROTOCOLS, 20))
    pings(vm)
    see_same(vm, passing, "as the host captured them")


@pytest.mark.checkpoint("interface")
def test_interface(vm: r4l.VM, module: r4l.BuiltModule) -> None:
    local, out = DRAW.sample(range(2, 8), 2)
    for name, expected in {"eth0": out, "lo": 2 * local, "": out + 2 * local}.items():
        number = ifindex(vm, name) if name else 0
        load(vm, module, ifindex=number)
        pings(vm, out)
        pings(vm, local, "127.0.0.1")
        # On lo each packet is sent, and received, by the same machine.
        what = f"ifindex={number} ({name or 'all'}), after {out} pings to {PEER} and {local} to 127.0.0.1"
        counted = sums(counters(vm))
        for way in ("received", "sent"):
            see(f"packets {way}, with {what}", counted.get(way, (0, 0))[0], expected)
        vm.rmmod(NAME)


@pytest.mark.checkpoint("port")
def test_port(vm: r4l.VM, module: r4l.BuiltModule, wire: Wire) -> None:
    port = DRAW.randrange(1024, (1 << 16) - 1)
    load(vm, module, ifindex=ifindex(vm), port=port)

    def udp() -> list[UDP]:
        """Return datagrams with that port and others."""
        return [UDP(sport=source, dport=target) / payload() for source, target in pairs(port)]

    def options(longest: bool) -> list[IPOption]:
        """Return a packet whose header has 6 to 15 words, with the ports behind it."""
        return [IPOption(b"\x01" * 4 * (10 if longest else DRAW.randrange(1, 11)))]

    groups: dict[str, list[Packet]] = {
        "UDP": [to_nobody() / packet for packet in udp()],
        "TCP, and the guest's answers": [
            HEADER / IP(src=PEER, dst=GUEST) / TCP(flags="S", sport=source, dport=target)
            for source, target in pairs(port)
        ],
        "UDP behind IPv4 headers with options": [
            to_nobody(options=options(longest)) / packet for longest in (True, False) for packet in udp()
        ],
        "later fragments, whose data looks like ports": [
            to_nobody(proto=17, frag=DRAW.randrange(1, 8000)) / Raw(bytes(packet)) for packet in udp()
        ],
        "other protocols, whose data looks like ports": [
            to_nobody(proto=DRAW.choice([1, 253])) / Raw(bytes(packet)) for packet in udp()
        ],
    }
    before: Counted = {}
    for what, frames in groups.items():
        passing = Passing(wire)
        send(wire, frames)
        pings(vm)
        after, outside = counters(vm), passing.counted(port)
        for key in sorted({*after, *outside}):
            seen = after.get(key, (0, 0))[0] - before.get(key, (0, 0))[0]
            see(f"{' '.join(key)} packets with port={port}, of {what}", seen, outside.get(key, (0, 0))[0])
        before = after


@pytest.mark.checkpoint("malformed")
def test_malformed(vm: r4l.VM, module: r4l.BuiltModule, wire: Wire) -> None:
    port = DRAW.randrange(1024, 1 << 16)
    start = bytes(HEADER)[:12]
    word = port.to_bytes(2, "big")
    good = to_nobody() / UDP(sport=9, dport=port)

    def header(words: int, what: int, to: bytes = b"\x0a\x00\x02\x4d") -> bytes:
        """Return an IPv4 header with a wrong length."""
        length = DRAW.choice([0, 20, 65535])
        fields = bytes([0x40 | words, 0]) + length.to_bytes(2, "big") + bytes(4) + bytes([64, what, 0, 0])
        return start + b"\x08\x00" + fields + IPv4Address(PEER).packed + to

    kinds = {
        "IPv4 headers longer than their frame": [header(words, DRAW.choice([6, 17])) for words in range(12, 16)],
        "IPv4 headers of less than 5 words": [header(words, 17, word + word) for words in range(5)],
        "nothing behind the EtherType": [start + kind for kind in (b"\x08\x00", b"\x08\x06", b"\x86\xdd")],
        "noise": [start + b"\x08\x00" + DRAW.randbytes(DRAW.randrange(46)) for _ in range(20)],
        "lengths in place of an EtherType": [start + DRAW.randrange(1500).to_bytes(2, "big") for _ in range(5)],
        "noise of any type": [start + DRAW.randbytes(DRAW.randrange(2, 1500)) for _ in range(20)],
    }
    load(vm, module, ifindex=ifindex(vm), port=port)
    wanted = 0
    for what, frames in list(kinds.items())[:3]:
        number = DRAW.randrange(2, 9)
        wanted += number
        for frame in [*frames, *[bytes(good)] * number]:
            wire.send(frame)
        summary = pings(vm)
        see(f"pings after {what}", summary, "0% packet loss", " 0% packet" in summary)
        packets = counters(vm).get(("received", "udp"), (0, 0))[0]
        see(f"received udp packets with port={port}, all of them whole, among {what}", packets, wanted)
    bad = [frame for frames in kinds.values() for frame in frames]
    for wanted_port in (port, 0):
        vm.rmmod(NAME)
        passing = Passing(wire)
        load(vm, module, ifindex=ifindex(vm), port=wanted_port)
        for frame in bad:
            wire.send(frame)
        summary = pings(vm)
        see("pings after malformed frames of all kinds", summary, "0% packet loss", " 0% packet" in summary)
    packets = sums(counters(vm)).get("received", (0, 0))[0]
    see(f"packets received, {len(bad)} of them malformed", packets, sums(passing.counted())["received"][0])


@pytest.mark.checkpoint("leaves")
def test_leaves(vm: r4l.VM, module: r4l.BuiltModule, wire: Wire, leaks: Leaks) -> None:
    load(vm, module, ifindex=ifindex(vm))
    passing = Passing(wire)
    send(wire, drawn(PROTOCOLS, 10))
    pings(vm)
    total = sum(packets for packets, _ in sums(passing.counted()).values())
    vm.klog.sync()
    mark = vm.klog.mark()
    vm.rmmod(NAME)
    vm.klog.sync()
    lines = [record.text for record in vm.klog.records(mark) if record.text.startswith(f"{NAME}: captured")]
    see(f"what {NAME} says at rmmod", lines, [f"{NAME}: captured {total} packets"])
    see(f"{FILES} after rmmod", "there" if vm.run(f"test -e {FILES}").ok else "not there", "not there")
    see(f"hooks of {NAME} in /proc/net/ptype after rmmod", NAME in vm.run("cat /proc/net/ptype").stdout, False)
    summary = pings(vm)
    see("pings after rmmod", summary, "0% packet loss", " 0% packet" in summary)

    frame = bytes(to_nobody() / UDP(dport=9) / payload())

    def reload(times: int) -> None:
        """Reload the module under traffic of 16 packets per repetition."""
        load(vm, module)
        for _ in range(16 * times):
            wire.send(frame)
        pings(vm)
        vm.rmmod(NAME)

    # What comes and goes in the slabs of the kernel's own has to be far less than what packets would leave.
    leaks.across_rounds(reload, rounds=2, times=25)
