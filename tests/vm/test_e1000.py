# SPDX-License-Identifier: MIT
"""The Rust e1000 under reload, flood, two cards and a pulled cable."""

from __future__ import annotations

import itertools
import re
import time

import pytest

from r4l.demo.bench import GATEWAY, NETWORK, Bench
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.vm import VM

pytestmark = pytest.mark.vm

WARM_UP = 20
ROUNDS = 4
CYCLES = 20
"""Reloads in a round; 100 with the warm-up."""
LEAK_LIMIT = 1024
"""Bytes a reload in the calmest round. Caches of sockets and inodes come and go, by 300 KiB a round, up in one and down
in the next; what is leaked is leaked in every round, and one receive buffer is twice the limit."""


def slab_bytes(bench: Bench) -> int:
    """Bytes in active slab objects, without what a cache shrinker can free."""
    bench.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.2")
    rows = [line.split() for line in bench.run("cat /proc/slabinfo").splitlines()[2:]]
    return sum(int(row[1]) * int(row[3]) for row in rows)


@pytest.mark.row("A25")
@pytest.mark.timeout(600)
def test_a_hundred_reloads_leave_nothing(bench: Bench) -> None:
    bench.vm.put(bench.driver.path, "/tmp/driver.ko")
    bench.run("ifconfig lo up")
    cycle = (
        "insmod /tmp/driver.ko && ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && {ping} "
        "ip link set eth0 down && rmmod r4l_e1000 || exit 1"
    )
    pinging = cycle.format(ping=f"ping -c1 -W10 {GATEWAY} >/dev/null &&")
    silent = cycle.format(ping="")
    interrupts = bench.run("cut -d: -f1 /proc/interrupts")
    iomem = bench.run("cat /proc/iomem")

    def reload(cycles: int) -> None:
        tens = f"for i in $(seq {cycles // 10}); do {pinging}; for j in $(seq 9); do {silent}; done; done"
        bench.run(tens, timeout=200)

    reload(WARM_UP)
    used = [slab_bytes(bench)]
    for _ in range(ROUNDS):
        reload(CYCLES)
        used.append(slab_bytes(bench))
    growth = [after - before for before, after in itertools.pairwise(used)]
    assert min(growth) < LEAK_LIMIT * CYCLES, f"slabs grew in every round: {growth} bytes"
    assert bench.run("cut -d: -f1 /proc/interrupts") == interrupts
    assert bench.run("cat /proc/iomem") == iomem
    assert bench.run("cat /proc/modules").strip() == ""
    assert bench.run("ls /sys/class/net").split() == ["lo"]


def test_unload_under_traffic(online: Bench) -> None:
    online.run(f"ping -i 0.01 -s 1000 {GATEWAY} >/dev/null 2>&1 & sleep 1; rmmod r4l_e1000 && wait", timeout=30)
    assert online.run("ls /sys/class/net").split() == ["lo"]


RCTL, TCTL, IMS = 0x100, 0x400, 0xD0
ENABLED = 1 << 1
"""EN, of RCTL and of TCTL (8254x manual, 13.4.22 and 13.4.33)."""


def register(bench: Bench, offset: int) -> int:
    """A register of the card, read from outside the guest."""
    base = bench.run("grep -l 0x100e /sys/bus/pci/devices/*/device | sed s/device$/resource/ | xargs head -n1").split()[
        0
    ]
    answer = bench.vm.qmp("human-monitor-command", command_line=f"xp /1wx {int(base, 16) + offset:#x}")
    return int(str(answer).split()[-1], 16)


def test_a_card_that_is_down_is_silent(online: Bench) -> None:
    """Its rings are freed then: it must neither receive nor send nor interrupt."""
    online.ping(GATEWAY, count=1)
    assert register(online, RCTL) & ENABLED
    assert register(online, TCTL) & ENABLED
    assert register(online, IMS)
    online.run("ip link set eth0 down")
    assert register(online, RCTL) & ENABLED == 0
    assert register(online, TCTL) & ENABLED == 0
    assert register(online, IMS) == 0


def test_the_cable_is_pulled_and_plugged(online: Bench) -> None:
    online.ping(GATEWAY, count=1)
    online.vm.link(0, up=False)
    gone = '[ "$(cat /sys/class/net/eth0/carrier)" = 0 ]'
    online.run(f"for i in $(seq 100); do {gone} && exit 0; usleep 50000; done; exit 1")
    online.logged("link down")
    online.vm.link(0, up=True)
    online.wait_for_carrier()
    online.ping(GATEWAY, count=2)


def test_statistics_are_those_of_the_wire(online: Bench) -> None:
    def counter(name: str) -> int:
        return int(online.run(f"cat /sys/class/net/eth0/statistics/{name}"))

    online.ping(GATEWAY, count=1)
    sent, received = counter("tx_packets"), counter("rx_packets")
    bytes_sent = counter("tx_bytes")
    online.ping(GATEWAY, count=20)
    assert 20 <= counter("tx_packets") - sent <= 24, "twenty requests; ARP or IPv6 may add a few"
    assert 20 <= counter("rx_packets") - received <= 24
    assert counter("tx_bytes") - bytes_sent >= 20 * 98
    assert counter("rx_errors") == counter("tx_errors") == 0


def test_a_large_packet_is_padded_and_fragments_arrive(online: Bench) -> None:
    for size in (0, 1, 17, 18, 19, 1472, 1473, 4000):
        output = online.run(f"ping -c1 -W5 -s {size} {GATEWAY}")
        assert " 0% packet loss" in output, f"{size} bytes: {output}"


def test_two_cards_work_at_once(kernel: Kernel, e1000: BuiltModule) -> None:
    nics = [
        Nic("e1000"),
        Nic(
            "e1000",
            options={**NETWORK, "net": "10.1.2.0/24", "host": "10.1.2.2", "dns": "10.1.2.3", "dhcpstart": "10.1.2.15"},
        ),
    ]
    with VM(kernel, nics=nics) as vm:
        vm.insmod(e1000)
        vm.run(
            "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; "
            "ip link set eth1 up; ip addr add 10.1.2.15/24 dev eth1"
        )
        both = vm.run(
            "ping -c20 -i 0.1 -W5 10.0.2.2 > /tmp/a & a=$!; ping -c20 -i 0.1 -W5 10.1.2.2 > /tmp/b & b=$!; "
            "wait $a && wait $b",
            timeout=60,
        )
        assert both.exit_code == 0, both.stderr
        for file in ("/tmp/a", "/tmp/b"):
            assert "20 packets transmitted, 20 packets received, 0% packet loss" in vm.run(f"cat {file}").stdout
        macs = vm.run("cat /sys/class/net/eth0/address /sys/class/net/eth1/address").stdout.split()
        assert macs == ["52:54:00:12:34:56", "52:54:00:12:34:57"], "each has the address of its own EEPROM"
        vm.run("rmmod r4l_e1000", check=True)
        vm.klog.check()


PKTGEN = """
set -e
conf() { echo "$2" > /proc/net/pktgen/$1; }
conf kpktgend_0 rem_device_all; conf kpktgend_1 rem_device_all
conf kpktgend_0 "add_device eth0"; conf kpktgend_1 "add_device eth1"
for i in 0 1; do
    conf eth$i "count 0"; conf eth$i "pkt_size $SIZE"; conf eth$i "delay 0"; conf eth$i "dst 10.9.9.9"
    conf eth$i "dst_mac $(cat /sys/class/net/eth$((1-i))/address)"
done
(sleep $SECONDS_; echo stop > /proc/net/pktgen/pgctrl) &
echo start > /proc/net/pktgen/pgctrl
wait
"""
FLOOD_SECONDS = 60


@pytest.mark.row("A31")
@pytest.mark.timeout(300)
def test_a_flood_in_both_directions_loses_no_buffer(kernel: Kernel, e1000: BuiltModule) -> None:
    """Two cards on one wire, each sending to the other for a minute as fast as it can; a third port is the router."""
    uplink = ("-netdev", "user,id=router", "-netdev", "hubport,id=routerport,hubid=0,netdev=router")
    nics = [Nic("e1000", backend="hub", capture=False), Nic("e1000", backend="hub", capture=False)]
    with VM(kernel, nics=nics, modules=["pktgen"], extra=uplink) as vm:
        bench = Bench(vm, kernel, e1000, e1000)
        bench.begin()
        bench.load(e1000)
        bench.run("modprobe pktgen; ip link set eth0 up; ip link set eth1 up; ip addr add 10.0.2.15/24 dev eth0")
        bench.wait_for_carrier("eth0")
        bench.wait_for_carrier("eth1")
        bench.ping(GATEWAY, count=2)
        buffers = skb_objects(bench)
        fired = interrupts(bench)
        bench.run(f"SIZE=60; SECONDS_={FLOOD_SECONDS // 2}; {PKTGEN}", timeout=120)
        bench.run(f"SIZE=1514; SECONDS_={FLOOD_SECONDS // 2}; {PKTGEN}", timeout=120)
        received = [int(bench.run(f"cat /sys/class/net/eth{i}/statistics/rx_packets")) for i in (0, 1)]
        sent = [int(bench.run(f"cat /sys/class/net/eth{i}/statistics/tx_packets")) for i in (0, 1)]
        assert min(received) > 10_000, f"received {received}, sent {sent}"
        assert interrupts(bench) - fired < sum(received) / 3, "under flood NAPI polls instead of taking interrupts"
        for i in (0, 1):
            assert bench.run(f"cat /sys/class/net/eth{i}/queues/tx-0/byte_queue_limits/inflight").strip() == "0"
        time.sleep(1)
        assert abs(skb_objects(bench) - buffers) < 600, "buffers in the two receive rings and caches, no more"
        bench.ping(GATEWAY, count=4)
        bench.run("rmmod r4l_e1000")
        vm.klog.check()


def skb_objects(bench: Bench) -> int:
    """sk_buff heads in use."""
    bench.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    rows = [line.split() for line in bench.run("cat /proc/slabinfo").splitlines()]
    return sum(int(row[1]) for row in rows if re.match(r"skbuff_(head|fclone)_cache$", row[0]))


def interrupts(bench: Bench) -> int:
    """How often the cards' interrupt lines fired."""
    lines = [line for line in bench.run("cat /proc/interrupts").splitlines() if "eth" in line or "r4l_e1000" in line]
    return sum(int(word) for line in lines for word in line.split()[1:3])
