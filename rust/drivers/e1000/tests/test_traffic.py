# SPDX-License-Identifier: MIT
"""Packets: sizes, counters, and as many as the card can take."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether

import r4l
from r4l import Nic
from r4l.net import Interface, Wire
from r4l.pci.models.e1000 import E1000
from r4l.testing import interface_of

pytestmark = pytest.mark.machine(nics=["e1000"])

RING = 256
"""Descriptors of a ring, in this driver and in the kernel's own."""


def test_packets_of_all_sizes_arrive(online: r4l.VM, interface: Interface, gateway: str) -> None:
    """Short packets are padded to 60 bytes, long ones are cut into fragments."""
    for size in (0, 1, 17, 18, 19, 1472, 1473, 4000):
        interface.ping(gateway, count=1, size=size)


@pytest.mark.parametrize("copybreak", [0, 1518])
def test_frames_are_received_with_and_without_a_copy(
    vm: r4l.VM, module: r4l.BuiltModule, gateway: str, copybreak: int
) -> None:
    vm.insmod(module, copybreak=copybreak)
    interface = interface_of(vm)
    interface.up()
    for size in (1, 200, 1472, 4000):
        interface.ping(gateway, count=2, size=size)


def test_statistics_are_those_of_the_wire(online: r4l.VM, interface: Interface, gateway: str) -> None:
    # IPv6 speaks by itself, and at times of its own.
    online.run(f"echo 1 > /proc/sys/net/ipv6/conf/{interface.name}/disable_ipv6", check=True)
    interface.ping(gateway, count=1)
    names = ("tx_packets", "rx_packets", "tx_bytes")
    before = {name: interface.counter(name) for name in names}
    interface.ping(gateway, count=20)
    sent, received, size = (interface.counter(name) - before[name] for name in names)
    assert 20 <= sent <= 24, "twenty requests; ARP may add a few"
    assert 20 <= received <= 24
    assert size >= 20 * 98
    assert interface.counter("rx_errors") == interface.counter("tx_errors") == 0


def wait_for_counter(interface: Interface, name: str, value: int) -> None:
    """Wait until a counter has a value; what the card counts, drivers read every two seconds."""
    until = time.monotonic() + 30
    while interface.counter(name) != value:
        assert time.monotonic() < until, f"{name}: {interface.counter(name)}, not {value}"
        time.sleep(0.1)


def test_what_the_card_counts_is_among_the_statistics(
    online: r4l.VM, wire: Wire, interface: Interface, gateway: str, relay: Path
) -> None:
    online.put(relay, "/tmp/relay", 0o755)
    online.run("/tmp/relay eth0 listen 01005e000077 > /dev/null &", check=True)
    interface.ping(gateway, count=2)
    before = {name: interface.counter(name) for name in ("multicast", "rx_packets", "rx_errors", "collisions")}
    for _ in range(5):
        wire.send(Ether(dst="01:00:5e:00:00:77", src="02:00:00:00:00:07", type=0x88B5) / (b"r" * 60))
    # QEMU's card does not count multicast frames.
    multicast = before["multicast"] + (5 if 0 in online.cards else 0)
    wait_for_counter(interface, "rx_packets", before["rx_packets"] + 5)
    wait_for_counter(interface, "multicast", multicast)
    assert interface.counter("rx_errors") == before["rx_errors"]
    assert interface.counter("collisions") == before["collisions"] == 0
    interface.down()
    assert interface.counter("multicast") == multicast
    interface.up(address=None)
    interface.ping(gateway, count=1)
    if isinstance(card := online.cards.get(0), E1000):
        # QEMU's card has no bad frames.
        card.call(card.damage_next)
        wire.send(Ether(dst=interface.mac, src="02:00:00:00:00:07", type=0x88B5) / (b"r" * 60))
        wait_for_counter(interface, "rx_crc_errors", 1)
        assert interface.counter("rx_errors") == before["rx_errors"] + 1


@pytest.mark.machine(nics=["e1000"], modules=["netconsole"])
def test_the_kernels_log_goes_out_by_netconsole(online: r4l.VM, interface: Interface, gateway: str) -> None:
    """netconsole calls start_xmit and poll with interrupts off, the latter without a budget; more lines than the ring
    holds have the driver take back what was sent."""
    interface.ping(gateway, count=1)
    lines = 2 * RING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as console:
        console.bind(("127.0.0.1", 0))
        console.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        console.settimeout(30)
        mac = online.run(f"arp -n {gateway}", check=True).stdout.split()[3]
        target = f"6665@10.0.2.15/{interface.name},{console.getsockname()[1]}@{gateway}/{mac}"
        online.run(f"modprobe netconsole netconsole={target}", check=True)
        online.run(
            f"for i in $(seq {lines}); do echo '<1>line' $i of {lines} > /dev/kmsg; done", timeout=60, check=True
        )
        last = f"line {lines} of {lines}"
        heard: list[str] = []
        while not (heard and last in heard[-1]):
            heard.append(console.recv(2048).decode())
    assert sum("line " in text and f" of {lines}" in text for text in heard) >= lines * 9 // 10
    interface.ping(gateway)
    online.run("rmmod netconsole", check=True)


PKTGEN = """
set -e
conf() { echo "$2" > /proc/net/pktgen/$1; }
conf kpktgend_0 rem_device_all; conf kpktgend_1 rem_device_all
while test -e /proc/net/pktgen/eth0 -o -e /proc/net/pktgen/eth1; do usleep 20000; done
conf kpktgend_0 "add_device eth0"; conf kpktgend_1 "add_device eth1"
for i in 0 1; do
    conf eth$i "count 0"; conf eth$i "pkt_size $SIZE"; conf eth$i "delay 0"; conf eth$i "dst 10.9.9.9"
    conf eth$i "dst_mac $(cat /sys/class/net/eth$((1-i))/address)"
done
(sleep $SECONDS_; echo stop > /proc/net/pktgen/pgctrl) &
echo start > /proc/net/pktgen/pgctrl
wait
"""
ROUTER = ("-netdev", "user,id=router", "-netdev", "hubport,id=routerport,hubid=0,netdev=router")
"""A third port on the wire between the two cards."""


@pytest.mark.row("A31")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.thorough)])
@pytest.mark.machine(
    nics=[Nic("e1000", backend="hub", capture=False)] * 2, modules=["pktgen"], extra=ROUTER, snapshot=False
)
def test_a_flood_in_both_directions_loses_no_buffer(
    loaded: r4l.VM, gateway: str, module: r4l.BuiltModule, seconds: int
) -> None:
    """Each card sends to the other at full speed, half of the time the shortest frames and half the longest."""
    loaded.run("modprobe pktgen", check=True)
    cards = [interface_of(loaded, name) for name in ("eth0", "eth1")]
    cards[0].up()
    cards[1].up(address=None)
    cards[0].ping(gateway, count=2)
    buffers, fired = skb_objects(loaded), interrupts(loaded)
    for size in (60, 1514):
        loaded.run(f"SIZE={size}; SECONDS_={seconds // 2}; {PKTGEN}", timeout=120, check=True)
    sent, received = ([card.counter(f"{way}_packets") for card in cards] for way in ("tx", "rx"))
    # Under KASAN the CPU that takes both cards' interrupts has its own sender send one frame for each 310 received
    # there: 88 in 28 s, fewer than a ring holds, so that its queue was never stopped.
    many = 10_000 * seconds // 60
    each, most = (0, min(many, 10 * RING)) if loaded.kernel.config.get("CONFIG_KASAN") == "y" else (many, many)
    assert min(received) > each, f"received {received}, sent {sent}"
    assert max(received) > most, f"received {received}, sent {sent}"
    assert interrupts(loaded) - fired < sum(received) / 3, "under flood NAPI polls instead of taking interrupts"
    for card in cards:
        path = f"/sys/class/net/{card.name}/queues/tx-0/byte_queue_limits/inflight"
        assert loaded.run(f"cat {path}").stdout.strip() == "0"
    time.sleep(1)
    assert abs(skb_objects(loaded) - buffers) < 600, "buffers in the two receive rings and caches, no more"
    cards[0].ping(gateway)
    loaded.rmmod(module.name)


def skb_objects(vm: r4l.VM) -> int:
    """Return the number of sk_buff heads in use."""
    # Shrinking a cache frees what KASAN keeps in quarantine, too (mm/kasan/quarantine.c): thousands after a flood.
    shrink = "for file in /sys/kernel/slab/skbuff_*/shrink; do echo 1 > $file; done"
    slabs = vm.run(f"sync; echo 3 > /proc/sys/vm/drop_caches; {shrink}; cat /proc/slabinfo", check=True).stdout
    rows = [line.split() for line in slabs.splitlines()]
    return sum(int(row[1]) for row in rows if re.match(r"skbuff_(head|fclone)_cache$", row[0]))


def interrupts(vm: r4l.VM) -> int:
    """Return how often the cards' interrupt lines fired."""
    lines = [line for line in vm.run("cat /proc/interrupts").stdout.splitlines() if re.search(r"eth|e1000", line)]
    return sum(int(word) for line in lines for word in line.split()[1:3])
