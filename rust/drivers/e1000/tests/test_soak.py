# SPDX-License-Identifier: MIT
"""A flood in both directions while the link flaps and MTU, rings and self-test change what the driver works with.

`E1000_SOAK_SECONDS` says how long, `E1000_SOAK_SEED` which changes at which times.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import r4l
from r4l.net import Nic
from r4l.testing import interface_of

if TYPE_CHECKING:
    from rust.drivers.e1000.tests.conftest import Ethtool

SECONDS = int(os.environ.get("E1000_SOAK_SECONDS", "30"))
SEED = int(os.environ.get("E1000_SOAK_SEED", "1"))
MTUS = (68, 576, 1500, 4000, 9000, 16110)
FLOODERS = """
conf() { echo "$2" > /proc/net/pktgen/$1 || exit 1; }
modprobe pktgen || exit 1
for i in 0 1; do
    conf kpktgend_$i "add_device eth$i"
    conf eth$i "count 5000"; conf eth$i "delay 0"; conf eth$i "dst 10.9.9.9"
    conf eth$i "dst_mac $(cat /sys/class/net/eth$((1-i))/address)"
    # Once: a thread of pktgen that is late crashes where the size changes between its allocation and its use.
    conf eth$i "min_pkt_size 60"; conf eth$i "max_pkt_size 1514"; conf eth$i "flag TXSIZE_RND"
done
"""
"""Prepare pktgen on both cards, with frames from the shortest to the longest. It takes no interface that is down."""
FLOOD = """
while test ! -e /tmp/calm; do
    # A device whose link is down ends its round at once.
    echo start > /proc/net/pktgen/pgctrl; usleep 20000
done
for i in 0 1; do echo rem_device_all > /proc/net/pktgen/kpktgend_$i; done
rm /tmp/calm
"""
"""Rounds of pktgen until /tmp/calm exists; the end is told by its removal."""
LEAST = 1000
"""Frames that each card sends at least, however slow the kernel."""
ROUTER = ("-netdev", "user,id=router", "-netdev", "hubport,id=routerport,hubid=0,netdev=router")
"""A third port on the wire between the two cards."""


@pytest.mark.thorough
@pytest.mark.timeout(SECONDS + 900)
@pytest.mark.machine(
    nics=[Nic("e1000", backend="hub", capture=False)] * 2, modules=["pktgen"], extra=ROUTER, snapshot=False
)
def test_a_flood_and_changes_at_random_times(
    loaded: r4l.VM, ethtools: tuple[Ethtool, Ethtool], gateway: str, module: r4l.BuiltModule
) -> None:
    cards = [interface_of(loaded, name) for name in ("eth0", "eth1")]
    draw = random.Random(SEED)
    # QEMU's card fails the C driver's tests of registers and of the loopback.
    offline = [False] if module.name == "e1000" else [False, True]

    def flap(which: int) -> str:
        seconds = draw.uniform(0.01, 1)
        loaded.link(which, up=False)
        time.sleep(seconds)  # The length of a flap is what varies.
        loaded.link(which, up=True)
        return f"link down for {seconds:.2f} s"

    def mtu(which: int) -> str:
        size = draw.choice(MTUS)
        loaded.run(f"ip link set eth{which} mtu {size}", timeout=60, check=True)
        return f"mtu {size}"

    def rings(which: int) -> str:
        sizes = draw.randrange(80, 4097), draw.randrange(80, 4097)
        ethtools[which].set_rings(*sizes)
        return f"rings {sizes}"

    def self_test(which: int) -> str:
        where = draw.choice(offline)
        results = ethtools[which].self_test(offline=where)[1]
        # The link may be down at that moment, and is tested last.
        assert not any(list(results.values())[:-1]), results
        return "self-test, offline" if where else "self-test"

    def down_and_up(which: int) -> str:
        loaded.run(f"ip link set eth{which} down && ip link set eth{which} up", timeout=60, check=True)
        return "down and up"

    changes: list[Callable[[int], str]] = [flap, mtu, rings, self_test, down_and_up]
    cards[0].up()
    cards[1].up(address=None)
    cards[0].ping(gateway, count=2)
    loaded.put(FLOOD.encode(), "/tmp/flood")
    loaded.run(FLOODERS, check=True)
    loaded.run("sh /tmp/flood > /tmp/flood.log 2>&1 &", check=True)
    made = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        which = draw.randrange(2)
        print(f"eth{which}: {draw.choice(changes)(which)}")
        made += 1
        time.sleep(draw.uniform(0, 1))  # Random times are what is tested.
    loaded.run("touch /tmp/calm; while test -e /tmp/calm; do usleep 20000; done", timeout=120, check=True)
    counts = [(card.counter("tx_packets"), card.counter("rx_packets")) for card in cards]
    print(f"{made} changes with seed {SEED}, frames sent and received: {counts}")
    # Of the receiver, a part: the link is down at times, and the other side's interface, too.
    assert min(sent for sent, _ in counts) > LEAST, loaded.run("cat /tmp/flood.log").stdout
    assert min(received for _, received in counts) > 0
    for card in cards:
        loaded.run(f"ip link set {card.name} mtu 1500", check=True)
        card.wait_for_carrier()
    cards[0].ping(gateway)
    for card in cards:
        card.down()
        inflight = f"/sys/class/net/{card.name}/queues/tx-0/byte_queue_limits/inflight"
        assert loaded.run(f"cat {inflight}").stdout.strip() == "0"
    loaded.run("rmmod pktgen", check=True)
    loaded.rmmod(module.name)
